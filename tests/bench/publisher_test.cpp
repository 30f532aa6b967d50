// The publisher over a small WordNet of our own: traversal, edits, bad requests, clients that vanish, deadlines, stops.
#include <boost/beast/core/buffers_to_string.hpp>
#include <future>

#include "bench/baselines/private_cache.hpp"
#include "publisher_testing.hpp"

namespace cow::bench::publisher {

template class Server<cow::Database>;

namespace {

using namespace std::chrono_literals;

template <class Database>
void expect_it_publishes(Model model) {
  ServerOptions options;
  options.model.model = model;
  options.loops = 2;
  Published<Database> published(options);
  Client client = published.client();
  EXPECT_EQ(client.get("/dog/senses/0").result_int(), 200u);
  auto animal = client.get("/dog/hypernyms/0");
  EXPECT_EQ(animal.body(),
            "{\"synset\":1,\"part_of_speech\":\"noun\",\"words\":[\"animal\"],\"gloss\":\"what <animal> "
            "is\",\"edits\":0,\"relations\":{\"hypernyms\":1,\"hyponyms\":2}}\n");
  EXPECT_EQ(client.get("/dog/hypernyms/0/hyponyms").body(),
            "[{\"path\":\"/dog/hypernyms/0/hyponyms/0\",\"words\":[\"dog\"],\"gloss\":\"what <dog> is\"},"
            "{\"path\":\"/dog/hypernyms/0/hyponyms/1\",\"words\":[\"cat\"],\"gloss\":\"what <cat> is\"}]\n");
  auto page = client.get("/dog/hypernyms/0", "Accept: text/html\r\n");
  EXPECT_NE(page.body().find("what &lt;animal&gt; is"), std::string::npos);
  EXPECT_NE(page.body().find("href=\"/dog/hypernyms/0/hyponyms\""), std::string::npos);
  EXPECT_EQ(client.put("/dog/hypernyms/0", "{\"gloss\":\"alive\"}").result_int(), 200u);
  EXPECT_NE(client.get("/cat/hypernyms/0?wait=1").body().find("\"gloss\":\"alive\",\"edits\":1"), std::string::npos);
  for (const char* nothing : {"/unicorn", "/dog/hypernyms/1", "/dog/hypernyms/-1", "/dog/friends", "/dog/senses/9"})
    EXPECT_EQ(client.get(nothing).result_int(), 404u) << nothing;
  EXPECT_NE(client.get("/metrics").body().find("publisher_responses_total{code=\"4xx\"} 5"), std::string::npos);
  published.server->stop();
  EXPECT_EQ(published.database.statistics().active_transactions, 0u);
}

TEST(Publisher, Coroutines) { expect_it_publishes<cow::Database>(Model::coroutines); }
TEST(Publisher, ThreadPool) { expect_it_publishes<cow::Database>(Model::thread_pool); }
TEST(Publisher, Pools) { expect_it_publishes<cow::Database>(Model::pools); }
TEST(Publisher, Fibers) {
  if (cow::detail::kThreadSanitizer || cow::detail::kAddressSanitizer)
    GTEST_SKIP() << "sanitizers cannot follow a switch of fibers";
  expect_it_publishes<cow::Database>(Model::fibers);
}
TEST(Publisher, CoroutinesOnPrivateCaches) { expect_it_publishes<BasicDatabase<PrivateCache>>(Model::coroutines); }

TEST(Publisher, BadRequests) {
  PublishedShared published;
  auto status = [&](const std::string& bytes) { return published.status_of(bytes); };
  EXPECT_EQ(status("NONSENSE\r\n\r\n"), 400u);
  EXPECT_EQ(status("GET /dog HTTP/9.9\r\n\r\n"), 400u);
  EXPECT_EQ(status("GET /%zz HTTP/1.1\r\nHost: x\r\n\r\n"), 400u);
  EXPECT_EQ(status("GET /%4 HTTP/1.1\r\nHost: x\r\n\r\n"), 400u);
  EXPECT_EQ(status("GET /%00 HTTP/1.1\r\nHost: x\r\n\r\n"), 400u);
  EXPECT_EQ(status("GET dog HTTP/1.1\r\nHost: x\r\n\r\n"), 400u);
  EXPECT_EQ(status("GET /dog?wait=x HTTP/1.1\r\nHost: x\r\n\r\n"), 400u);
  EXPECT_EQ(status("DELETE /dog HTTP/1.1\r\nHost: x\r\n\r\n"), 405u);
  EXPECT_EQ(status("PUT /dog/senses/0 HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\n{]}"), 400u);
  EXPECT_EQ(status("PUT /dog/senses/0 HTTP/1.1\r\nHost: x\r\nContent-Length: 11\r\n\r\n{\"gloss\":1}"), 400u);
  EXPECT_EQ(status("PUT /dog HTTP/1.1\r\nHost: x\r\nContent-Length: 13\r\n\r\n{\"gloss\":\"x\"}"), 405u);
  EXPECT_EQ(status("PUT /dog/senses/0 HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999\r\n\r\n"), 413u);
  EXPECT_EQ(status("GET /dog HTTP/1.1\r\nHost: x\r\nX: " + std::string(20'000, 'x') + "\r\n\r\n"), 431u);
  std::string long_path = "GET /dog";
  for (int i = 0; i < 100; ++i) long_path += "/hypernyms/0";
  EXPECT_EQ(status(long_path + " HTTP/1.1\r\nHost: x\r\n\r\n"), 404u);
  EXPECT_EQ(published.client().get("/dog").result_int(), 200u);
}

TEST(Publisher, ConflictsAreRetriedThenRefused) {
  ServerOptions options;
  options.model.retry.most_attempts = 1;
  PublishedShared published(options);
  // Both read before either commits: one wins.
  Client first = published.client(), second = published.client();
  std::string edit = "PUT /dog/senses/0?wait=200 HTTP/1.1\r\nHost: x\r\nContent-Length: 13\r\n\r\n{\"gloss\":\"x\"}";
  first.send(edit);
  second.send(edit);
  auto one = first.receive(), other = second.receive();
  EXPECT_EQ(std::min(one.result_int(), other.result_int()), 200u);
  EXPECT_EQ(std::max(one.result_int(), other.result_int()), 409u);
  EXPECT_EQ((one.result_int() == 409 ? one : other)[http::field::retry_after], "1");

  options.model.retry.most_attempts = 6;
  PublishedShared patient(options);
  Client third = patient.client(), fourth = patient.client();
  third.send(edit);
  fourth.send(edit);
  EXPECT_EQ(third.receive().result_int(), 200u);
  EXPECT_EQ(fourth.receive().result_int(), 200u);
}

TEST(Publisher, DeadlinesAndOverload) {
  ServerOptions options;
  options.request_time = 50ms;
  options.model.most_in_flight = 1;
  options.model.most_waiting = 0;
  PublishedShared published(options);
  Client slow = published.client();
  slow.send("GET /dog/senses/0?wait=10000 HTTP/1.1\r\nHost: x\r\n\r\n");
  Client refused = published.client();
  while (published.client().get("/metrics").body().find("cow_transactions_in_flight 1") == std::string::npos) {
  }
  auto overload = refused.get("/dog/senses/0");
  EXPECT_TRUE(overload.result_int() == 503u || overload.result_int() == 200u);  // the other may have given up by now
  auto late = slow.receive();
  EXPECT_EQ(late.result_int(), 503u);
  EXPECT_EQ(late[http::field::retry_after], "1");
  EXPECT_EQ(slow.get("/dog").result_int(), 200u) << "the connection goes on";
}

TEST(Publisher, StopsUnderLoad) {
  ServerOptions options;
  options.drain_time = 100ms;
  options.request_time = 1h;
  options.loops = 2;
  PublishedShared published(options);
  Client idle = published.client(), busy = published.client(), stuck = published.client();
  EXPECT_EQ(idle.get("/dog").result_int(), 200u);
  busy.send("GET /dog/senses/0?wait=50 HTTP/1.1\r\nHost: x\r\n\r\n");
  stuck.send("GET /dog/senses/0?wait=60000 HTTP/1.1\r\nHost: x\r\n\r\n");
  std::atomic<bool> stopped{false};
  std::thread load([&] {
    try {
      while (!stopped) {
        Client client = published.client();
        for (int i = 0; i < 20; ++i) (void)client.get("/cat/hypernyms/0");
      }
    } catch (const boost::system::system_error&) {  // it has been told to go
    }
  });
  while (published.database.statistics().active_transactions < 2) std::this_thread::sleep_for(1ms);
  published.server->stop();
  stopped = true;
  load.join();
  EXPECT_TRUE(idle.closed());
  EXPECT_EQ(busy.receive().result_int(), 200u);
  EXPECT_EQ(stuck.receive().result_int(), 503u);
  EXPECT_EQ(published.database.statistics().active_transactions, 0u);
  EXPECT_EQ(published.server->metrics().connections(), 0u);
}

TEST(Publisher, SubscribersHearOfChanges) {
  PublishedShared published;
  asio::io_context context;
  beast::websocket::stream<tcp::socket> socket(context);
  socket.next_layer().connect({asio::ip::make_address("127.0.0.1"), published.server->port()});
  socket.handshake("localhost", "/-/changes");
  EXPECT_EQ(published.client().put("/dog/senses/0", "{\"gloss\":\"x\"}").result_int(), 200u);
  beast::flat_buffer buffer;
  socket.read(buffer);
  EXPECT_EQ(beast::buffers_to_string(buffer.data()), "{\"synset\":2}");
  auto stopping = std::async(std::launch::async, [&] { published.server->stop(); });
  boost::system::error_code error;
  buffer.clear();
  socket.read(buffer, error);
  EXPECT_EQ(error, beast::websocket::error::closed);
  stopping.get();
}

TEST(Publisher, StopsThoughASubscriberNeitherReadsNorAnswers) {
  ServerOptions options;
  options.drain_time = 100ms;
  PublishedShared published(options);
  Client mute = published.client();
  mute.send(
      "GET /-/changes HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
      "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n");
  EXPECT_EQ(mute.receive().result_int(), 101u);
  auto stopping = std::async(std::launch::async, [&] { published.server->stop(); });
  EXPECT_EQ(stopping.wait_for(10s), std::future_status::ready) << "it waits for the client";
  stopping.get();
  EXPECT_EQ(published.server->metrics().connections(), 0u);
}

}  // namespace
}  // namespace cow::bench::publisher
