// The publisher's limits: descriptors, ports, clients that go away or say no more, options that make no sense.
#include "bench/support/descriptors.hpp"
#include "publisher_testing.hpp"

namespace cow::bench::publisher {
namespace {

using namespace std::chrono_literals;

ServerOptions patient() {
  ServerOptions options;
  options.request_time = 1h;
  options.watch_period = 10ms;
  return options;
}

TEST(PublisherLimits, VanishingClientsFreeWhatTheyHeld) {
  // Nothing else, another request, half of one, and more than the kernel takes for a server that does not read.
  for (const std::string& more : {std::string(), std::string("GET /dog HTTP/1.1\r\nHost: x\r\n\r\n"),
                                  std::string("GET /d"), std::string(100'000, 'x')}) {
    PublishedShared published(patient());
    {
      Client client = published.client();
      client.send("GET /dog/senses/0?wait=60000 HTTP/1.1\r\nHost: x\r\n\r\n");
      ASSERT_TRUE(eventually([&] { return published.database.statistics().active_transactions > 0; }));
      client.send(more);  // stays with the kernel, as nobody reads
    }
    EXPECT_TRUE(eventually([&] { return published.database.statistics().active_transactions == 0; })) << more.size();
    EXPECT_TRUE(eventually([&] { return published.server->metrics().connections() == 0; })) << more.size();
  }
}

TEST(PublisherLimits, VanishingClientsAreNoticedByAllModels) {
  for (Model model : {Model::thread_pool, Model::pools}) {
    ServerOptions options = patient();
    options.model.model = model;
    PublishedShared published(options);
    {
      Client client = published.client();
      client.send("GET /dog/senses/0?wait=60000 HTTP/1.1\r\nHost: x\r\n\r\n");
      ASSERT_TRUE(eventually([&] { return published.database.statistics().active_transactions > 0; }));
      client.send("GET /dog HTTP/1.1\r\nHost: x\r\n\r\n");
    }
    EXPECT_TRUE(eventually([&] { return published.server->metrics().connections() == 0; }));
  }
}

TEST(PublisherLimits, ClientsThatSayNoMoreAreServed) {
  for (const char* version : {"HTTP/1.1", "HTTP/1.0"}) {
    PublishedShared published(patient());
    Client client = published.client();
    client.send("GET /dog/senses/0?wait=300 " + std::string(version) + "\r\nHost: x\r\nConnection: keep-alive\r\n\r\n" +
                "GET /cat/senses/0 " + std::string(version) + "\r\nHost: x\r\n\r\n");
    client.half_close();
    EXPECT_NE(client.receive().body().find("dog"), std::string::npos);
    EXPECT_NE(client.receive().body().find("cat"), std::string::npos);
    EXPECT_TRUE(client.closed());
    EXPECT_TRUE(eventually([&] { return published.server->metrics().connections() == 0; }));
  }
}

/// The limit of descriptors leaves at most `count` connections: what the database and the server open comes off as well.
ServerOptions with_room_for(std::size_t count) {
  ServerOptions options;
  options.most_connections = 1'000'000'000;
  options.reserved_descriptors = fitting_connections(options) - count;
  return options;
}

TEST(PublisherLimits, ConnectionsLeaveDescriptorsToOthers) {
  ServerOptions options = with_room_for(40);
  options.loops = 2;
  PublishedShared published(options);
  Client editor = published.client();
  EXPECT_EQ(editor.put("/dog/senses/0", "{\"gloss\":\"x\"}").result_int(), 200u);
  {
    std::deque<Client> idle;
    for (int i = 0; i < 100; ++i) idle.emplace_back(published.server->port());
    // The last ones are told so, and closed.
    EXPECT_NE(idle.back().receive_all().find("503 "), std::string::npos);
    EXPECT_LE(published.server->metrics().connections(), 40u);
    EXPECT_EQ(editor.put("/dog/senses/0", "{\"gloss\":\"y\"}").result_int(), 200u);
  }
  EXPECT_TRUE(eventually([&] { return published.server->metrics().connections() == 1; }));
  EXPECT_EQ(published.client().get("/dog").result_int(), 200u);
}

TEST(PublisherLimits, RefusedConnectionsHearWhy) {
  ServerOptions options;
  options.most_connections = 1;
  PublishedShared published(options);
  Client first = published.client();
  EXPECT_EQ(first.get("/dog").result_int(), 200u);
  Client second = published.client();
  const auto refusal = second.receive();
  EXPECT_EQ(refusal.result_int(), 503u);
  EXPECT_EQ(refusal.body(), "{\"error\":\"too many connections\"}\n");
  EXPECT_TRUE(second.closed());
}

TEST(PublisherLimits, NoRoomForAnyConnectionIsAnError) {
  ServerOptions options;
  options.reserved_descriptors = descriptor_limit();
  EXPECT_THROW(PublishedShared{options}, std::runtime_error);
}

TEST(PublisherLimits, OnePublisherOnAPort) {
  for (std::size_t loops : {1, 3}) {
    for (std::size_t others : {1, 3}) {
      ServerOptions options;
      options.loops = loops;
      std::optional<PublishedShared> published(std::in_place, options);
      ServerOptions same = options;
      same.loops = others;
      same.port = published->server->port();
      EXPECT_THROW(PublishedShared{same}, boost::system::system_error) << loops << " " << others;
      std::deque<Client> clients;  // all of them come to the one that listens
      for (int i = 0; i < 20; ++i) EXPECT_EQ(clients.emplace_back(same.port).get("/dog").result_int(), 200u);
      published.reset();  // leaves connections in TIME_WAIT
      EXPECT_NO_THROW(PublishedShared{same});
    }
  }
}

TEST(PublisherLimits, OptionsThatMakeNoSense) {
  const std::vector<std::pair<const char*, void (*)(ServerOptions&)>> cases{
      {"address", [](ServerOptions& o) { o.address = "localhost:80"; }},
      {"loops", [](ServerOptions& o) { o.loops = 0; }},
      {"threads", [](ServerOptions& o) { o.model.threads = 0; }},
      {"in flight", [](ServerOptions& o) { o.model.most_in_flight = 0; }},
      {"connections", [](ServerOptions& o) { o.most_connections = 0; }},
      {"header", [](ServerOptions& o) { o.most_header_bytes = 0; }},
      {"request time", [](ServerOptions& o) { o.request_time = 0ms; }},
      {"idle time", [](ServerOptions& o) { o.idle_time = -1ms; }},
      {"watch period", [](ServerOptions& o) { o.watch_period = 0ms; }},
      {"external call", [](ServerOptions& o) { o.external_call = -1ms; }},
  };
  for (const auto& [name, spoil] : cases) {
    ServerOptions options;
    spoil(options);
    EXPECT_THROW(PublishedShared{options}, UsageError) << name;
  }
}

}  // namespace
}  // namespace cow::bench::publisher
