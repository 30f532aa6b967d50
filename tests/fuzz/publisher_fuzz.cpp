// Arbitrary bytes as what a client of the publisher sends: each request is refused with a status of HTTP or answered, every body
// is what its content type says, links lead back, and nothing of the input becomes markup.
#include <boost/asio/buffer.hpp>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <string_view>

#include "bench/publisher/order.hpp"
#include "bench/publisher/sources.hpp"
#include "bench/publisher/traversal.hpp"
#include "cow_cache/cow_cache.hpp"
#include "persistence/memory_store.hpp"
#include "tests/support/small_wordnet.hpp"

namespace {

using namespace cow;
using namespace cow::bench::publisher;
using Catalog = cow::bench::wordnet::Catalog<Database::Pointers>;
using Source = BlockingSource<Database>;

void want(bool condition, const char* what, std::string_view about) {
  if (condition) return;
  std::fprintf(stderr, "%s: %.*s\n", what, static_cast<int>(about.size()), about.data());
  std::abort();
}

class Pages {
 public:
  Pages() { cow::testing::make_wordnet(database_); }

  /// Edits are forgotten: an input is the same whatever came before it.
  Answer answer(const Query& query) {
    auto txn = database_.begin();
    const Source::CatalogRef catalog = txn.root().get<Catalog>(cow::bench::wordnet::kCatalogName);
    const Cancellation never;
    Source source(txn, catalog, never);
    Traversal<Source> traversal(source, query);
    return run_inline(traversal.run());
  }

 private:
  MemoryStore store_;
  Database database_{store_, {.cache_bytes = std::size_t{1} << 20}};
};

Pages& pages() {
  static Pages all;
  return all;
}

void check_links(const nlohmann::json& list) {
  for (const auto& entry : list) {
    const std::string path = entry.at("path").get<std::string>();
    const std::optional<Target> target = parse_target(path, "x");
    want(target.has_value(), "a link that cannot be parsed", path);
    Query query;
    query.path = target->steps;
    want(pages().answer(query).status == 200, "a link that leads nowhere", path);
  }
}

void check(Answer answer, bool as_html) {
  static const std::set<unsigned> kKnown{200, 400, 404, 405, 413, 417, 431, 501};
  want(kKnown.contains(answer.status), "a status that nobody expects", std::to_string(answer.status));
  want((answer.status == 200) == answer.problem.empty(), "an error without a message, or a message without an error",
       answer.problem);
  render_error(answer, "reason", as_html);
  if (answer.content_type == kHtml) {
    want(answer.body.starts_with("<!DOCTYPE html>"), "no page", answer.body);
    want(answer.body.find("<script") == std::string::npos, "input became markup", answer.body);
  } else {
    const auto json = nlohmann::json::parse(answer.body, nullptr, false);
    want(!json.is_discarded(), "no JSON", answer.body);
    if (json.is_array()) check_links(json);
  }
}

/// One request of a connection. Returns how many bytes it has taken; 0: no further one can follow.
std::size_t serve(std::string_view bytes) {
  http::request_parser<http::string_body> parser;
  parser.header_limit(8 << 10);
  parser.body_limit(64 << 10);
  boost::system::error_code error;
  std::size_t taken = 0;
  auto parse_until = [&](auto&& done) {
    while (!error && !done()) {
      const std::size_t count = parser.put(boost::asio::buffer(bytes.substr(taken)), error);
      taken += count;
      if (count == 0) break;
    }
  };
  parse_until([&] { return parser.is_header_done(); });
  Order order;
  if (!error && parser.is_header_done()) {
    order = order_of(parser.get(), std::chrono::milliseconds(0));
    parser.eager(true);
    parse_until([&] { return parser.is_done(); });
  }
  if (error == http::error::need_more || (!error && !parser.is_done())) return 0;  // a server would wait
  if (error) {
    if (const unsigned status = status_of(error))
      check(Answer::error(status, error.message()), wants_html(parser.get()));
    return 0;
  }
  for (const std::string& step : order.query.path) {
    const std::optional<Target> again = parse_target("/" + encoded_step(step), "x");
    want(again && again->steps == std::vector{step}, "a step that is spelled differently", step);
  }
  if (!order.refused && order.is_edit) order.refused = take_body(parser.get().body(), order.query);
  if (order.refused) {
    check(*order.refused, order.query.as_html);
  } else if (order.page == Order::Page::object) {
    order.query.external_call = std::chrono::milliseconds(0);
    check(pages().answer(order.query), order.query.as_html);
  }
  return taken;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::string_view bytes(reinterpret_cast<const char*>(data), size);
  while (!bytes.empty()) {
    const std::size_t taken = serve(bytes);
    if (taken == 0) break;
    bytes.remove_prefix(taken);
  }
  return 0;
}
