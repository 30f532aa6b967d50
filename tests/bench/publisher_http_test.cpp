// What HTTP/1.1 wants of the publisher: targets, Host, expectations, links that lead back, errors for people and programs.
#include <nlohmann/json.hpp>

#include "publisher_testing.hpp"

namespace cow::bench::publisher {
namespace {

using namespace std::chrono_literals;

TEST(PublisherHttp, WordsWithDots) {
  PublishedShared published;
  Client client = published.client();
  for (const char* word :
       {"/u.s.", "/dr.", "/st._louis", "/st.%20louis", "/u.s..noun", "/dr..noun/senses/0", "/run.verb"})
    EXPECT_EQ(client.get(word).result_int(), 200u) << word;
  for (const char* none : {"/u.s", "/u", "/dr.verb", "/dr..verb", "/run.", "/.noun", "/.", "/run.adjective"})
    EXPECT_EQ(client.get(none).result_int(), 404u) << none;
  EXPECT_NE(client.get("/run.verb/senses/0").body().find("move fast"), std::string::npos);
  EXPECT_NE(client.get("/run/senses/0").body().find("a race on foot"), std::string::npos);
}

/// Follows every link of every list, in JSON and in HTML, from every word.
TEST(PublisherHttp, EveryLinkLeadsSomewhere) {
  PublishedShared published;
  Client client = published.client();
  std::vector<std::string> open{"/",    "/entity",   "/animal", "/dog",       "/cat",      "/u.s.",
                                "/dr.", "/tcp%2Fip", "/run",    "/st._louis", "/tcp%2fip", "/run.verb"};
  std::set<std::string> seen(open.begin(), open.end());
  auto follow = [&](std::string link) {
    if (link.size() < 80 && seen.insert(link).second) open.push_back(std::move(link));
  };
  while (!open.empty()) {
    const std::string path = std::move(open.back());
    open.pop_back();
    const auto list = client.get(path);
    ASSERT_EQ(list.result_int(), 200u) << path;
    if (list[http::field::content_type] == "application/json") {
      const auto json = nlohmann::json::parse(list.body());
      if (json.is_array()) {
        for (const auto& entry : json) follow(entry["path"].get<std::string>());
      }
    }
    const std::string page = client.get(path, "Accept: text/html\r\n").body();
    constexpr std::string_view kLink = "href=\"";
    for (std::size_t at = page.find(kLink); at != page.npos; at = page.find(kLink, at)) {
      at += kLink.size();
      follow(page.substr(at, page.find('"', at) - at));
    }
  }
  EXPECT_TRUE(seen.contains("/tcp%2Fip/senses/0"));
}

TEST(PublisherHttp, FormsOfTargets) {
  PublishedShared published;
  Client client = published.client();
  const std::string dog = client.get("/dog").body();
  for (const char* same : {"http://127.0.0.1/dog", "HTTP://x:8080/dog", "http://elsewhere/dog?x=1", "/%64og", "//dog//",
                           "/dog?x=1&wait=1", "https://[::1]/dog"})
    EXPECT_EQ(client.get(same).body(), dog) << same;
  EXPECT_EQ(client.get("http://x").result_int(), 200u);
  EXPECT_NE(client.get("http://x/metrics").body().find("publisher_connections"), std::string::npos);
  EXPECT_EQ(client.get("http://x/-/constant").body(), dog);
  EXPECT_EQ(client.get("/%2D/constant").body(), dog);
  for (const char* bad :
       {"ftp://x/dog", "http:///dog", "http://u@x/dog", "/dog#x", "dog", "*", "http://x:port/dog", "/%", "/%0a",
        "/dog?wait=-1", "/dog?wait=99999999999", "/dog?x=1&wait=", "/dog?wait=1&wait=x"})
    EXPECT_EQ(client.get(bad).result_int(), 400u) << bad;
}

TEST(PublisherHttp, OneHostAndAGoodOne) {
  PublishedShared published;
  auto status = [&](const std::string& bytes) { return published.status_of(bytes); };
  EXPECT_EQ(status("GET /dog HTTP/1.1\r\n\r\n"), 400u);
  EXPECT_EQ(status("GET http://x/dog HTTP/1.1\r\n\r\n"), 400u);
  EXPECT_EQ(status("GET /dog HTTP/1.1\r\nHost: x\r\nHost: x\r\n\r\n"), 400u);
  for (const char* bad : {"a b", "x/dog", "u@x", "x:y", "<x>", "[::1"})
    EXPECT_EQ(status("GET /dog HTTP/1.1\r\nHost: " + std::string(bad) + "\r\n\r\n"), 400u) << bad;
  for (const char* good : {"x", "x:80", "[::1]:80", "", "a-b.c"})
    EXPECT_EQ(status("GET /dog HTTP/1.1\r\nHost: " + std::string(good) + "\r\n\r\n"), 200u) << good;
  EXPECT_EQ(status("GET /dog HTTP/1.0\r\n\r\n"), 200u);
  EXPECT_EQ(status("BREW /dog HTTP/1.1\r\nHost: x\r\n\r\n"), 501u);
  EXPECT_EQ(status("OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n"), 405u);
  EXPECT_EQ(status("PUT /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 13\r\n\r\n{\"gloss\":\"x\"}"), 405u);
}

TEST(PublisherHttp, ExpectationsAreAnsweredBeforeTheBody) {
  PublishedShared published;
  auto put = [](const std::string& target, std::size_t length, const std::string& expectation = "100-continue") {
    return "PUT " + target + " HTTP/1.1\r\nHost: x\r\nExpect: " + expectation +
           "\r\nContent-Length: " + std::to_string(length) + "\r\n\r\n";
  };
  const std::string body = "{\"gloss\":\"g\"}";
  Client client = published.client();
  client.send(put("/dog/senses/0", body.size()));
  EXPECT_EQ(client.receive_any().result_int(), 100u);
  client.send(body);
  EXPECT_EQ(client.receive_any().result_int(), 200u);
  client.send(put("/dog/senses/0", body.size()) + body);  // did not wait: needs no "100 Continue"
  EXPECT_EQ(client.receive_any().result_int(), 200u);
  client.send(put("/dog/senses/0", body.size(), "100-Continue"));
  EXPECT_EQ(client.receive_any().result_int(), 100u);
  client.send(body);
  EXPECT_EQ(client.receive_any().result_int(), 200u);

  // What is refused anyway is refused at once.
  auto refused = [&](const std::string& bytes) {
    Client other = published.client();
    other.send(bytes);
    const unsigned status = other.receive_any().result_int();
    EXPECT_TRUE(other.closed());
    return status;
  };
  EXPECT_EQ(refused(put("/dog/senses/0", 99'999'999)), 413u);
  EXPECT_EQ(refused(put("/%zz", body.size())), 400u);
  EXPECT_EQ(refused(put("/dog/senses/0", body.size(), "a-miracle")), 417u);
  EXPECT_NE(client.get("/dog/senses/0").body().find("\"edits\":3"), std::string::npos);
}

/// A client that still sends its body when it is refused can go on, and finds the answer.
TEST(PublisherHttp, RefusalsArriveThoughTheBodyIsUnread) {
  ServerOptions options;
  options.linger_time = 1h;
  PublishedShared published(options);
  Client client = published.client();
  client.send("PUT /dog/senses/0 HTTP/1.1\r\nHost: x\r\nContent-Length: 500000\r\n\r\n");
  ASSERT_TRUE(eventually([&] { return client.has_answer(); }));
  for (int i = 0; i < 50; ++i) {
    ASSERT_NO_THROW(client.send(std::string(10'000, 'x'))) << i;
    std::this_thread::sleep_for(1ms);  // for the server to close, if it does
  }
  EXPECT_EQ(client.receive().result_int(), 413u);
  EXPECT_TRUE(client.closed());
}

TEST(PublisherHttp, RefusedRequestsOfAConnectionDoNotEndIt) {
  PublishedShared published;
  Client client = published.client();
  EXPECT_EQ(client.put("/%zz", "{\"gloss\":\"x\"}").result_int(), 400u);
  EXPECT_EQ(client.put("/dog", "{\"gloss\":\"x\"}").result_int(), 405u);
  EXPECT_EQ(client.put("/dog/senses/0", "x").result_int(), 400u);
  EXPECT_EQ(client.get("/dog").result_int(), 200u);
}

/// Errors of all layers: a page for a browser, JSON for all else.
TEST(PublisherHttp, ErrorsArePagesForPeople) {
  PublishedShared published;
  const std::vector<std::pair<std::string, unsigned>> cases{
      {"GET /<b>unicorn HTTP/1.1\r\nHost: x\r\n", 400},
      {"GET /unicorn HTTP/1.1\r\nHost: x\r\n", 404},
      {"GET /dog/friends HTTP/1.1\r\nHost: x\r\n", 404},
      {"GET /dog/senses/7 HTTP/1.1\r\nHost: x\r\n", 404},
      {"DELETE /dog HTTP/1.1\r\nHost: x\r\n", 405},
      {"BREW /dog HTTP/1.1\r\nHost: x\r\n", 501},
      {"GET /dog HTTP/1.1\r\n", 400},
      {"PUT /dog/senses/0 HTTP/1.1\r\nHost: x\r\n", 400},
      {"GET /dog HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n", 404},
  };
  for (const auto& [request, status] : cases) {
    Client person = published.client(), program = published.client();
    person.send(request + "Accept: text/html,application/xhtml+xml,*/*;q=0.8\r\n\r\n");
    program.send(request + "Accept: */*\r\n\r\n");
    const auto page = person.receive(), json = program.receive();
    EXPECT_EQ(page.result_int(), status) << request;
    EXPECT_EQ(page[http::field::content_type], "text/html; charset=utf-8") << request;
    EXPECT_EQ(page.body().find("<!DOCTYPE html>"), 0u) << request;
    EXPECT_NE(page.body().find("<h1><bdi>" + std::to_string(status)), std::string::npos) << request;
    EXPECT_EQ(json.result_int(), status) << request;
    EXPECT_EQ(json[http::field::content_type], "application/json") << request;
    EXPECT_FALSE(nlohmann::json::parse(json.body()).at("error").get<std::string>().empty()) << request;
  }
  // Bytes that are no request, and a body that is too long.
  Client person = published.client();
  person.send("PUT /dog HTTP/1.1\r\nHost: x\r\nAccept: text/html\r\nContent-Length: 99999999\r\n\r\n");
  EXPECT_EQ(person.receive().body().find("<!DOCTYPE html>"), 0u);
}

TEST(PublisherHttp, SensesCanBeToldApart) {
  PublishedShared published;
  Client client = published.client();
  const auto senses = nlohmann::json::parse(client.get("/run").body());
  ASSERT_EQ(senses.size(), 2u);
  EXPECT_EQ(senses[0]["words"], nlohmann::json({"run", "footrace"}));
  EXPECT_EQ(senses[0]["gloss"], "a race on foot");
  EXPECT_EQ(senses[1]["words"], nlohmann::json({"run", "tally"}));
  EXPECT_EQ(senses[1]["gloss"], "a score in baseball");
  const std::string page = client.get("/run", "Accept: text/html\r\n").body();
  EXPECT_NE(page.find("<a href=\"/run/senses/0\"><bdi>run, footrace</bdi></a> (noun): <bdi>a race on foot</bdi></li>"),
            std::string::npos);
  EXPECT_NE(
      page.find("<a href=\"/run/senses/1\"><bdi>run, tally</bdi></a> (noun): <bdi>a score in baseball</bdi></li>"),
      std::string::npos);
  EXPECT_NE(client.get("/dr.", "Accept: text/html\r\n").body().find("a &quot;person&quot; &amp; more"),
            std::string::npos);
}

TEST(PublisherHttp, WhatWouldTurnAPageIsShownInDigits) {
  PublishedShared published;
  Client client = published.client();
  EXPECT_EQ(client.put("/run/senses/0", R"({"gloss":"harmless \u202egpj.exe\u0007 <b>"})").result_int(), 200u);
  for (const char* path : {"/run", "/run/senses/0"}) {
    const std::string page = client.get(path, "Accept: text/html\r\n").body();
    EXPECT_NE(page.find(R"(<bdi>harmless \u202egpj.exe\x07 &lt;b&gt;</bdi>)"), std::string::npos) << page;
  }
}

TEST(PublisherHttp, HeadIsGetWithoutABody) {
  PublishedShared published;
  for (const char* target : {"/dog", "/unicorn", "/metrics"}) {
    Client client = published.client();
    client.send("HEAD " + std::string(target) + " HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    const std::string text = client.receive_all();
    EXPECT_TRUE(text.ends_with("\r\n\r\n")) << target << text;
    EXPECT_EQ(text.find("Content-Length: 0"), text.npos) << target;
  }
}

}  // namespace
}  // namespace cow::bench::publisher
