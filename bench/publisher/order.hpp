// What a request orders, judged by its header before its body is asked for; free of sockets.
//
// Thread safety: plain values and functions.
#pragma once

#include <boost/beast/core/string.hpp>
#include <boost/beast/http.hpp>
#include <chrono>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "answer.hpp"
#include "target.hpp"

namespace cow::bench::publisher {

namespace beast = boost::beast;
namespace http = boost::beast::http;

struct Order {
  enum class Page { object, metrics, constant, changes };

  Page page = Page::object;
  Query query;
  bool is_edit = false;           ///< its body says what to write
  bool expects_continue = false;  ///< the client may wait with its body until it hears that it is welcome
  std::optional<Answer> refused;  ///< what is wrong with the request
};

inline std::string_view view_of(beast::string_view text) { return {text.data(), text.size()}; }

inline bool wants_html(const http::fields& fields) {
  return fields[http::field::accept].find("text/html") != beast::string_view::npos;
}

namespace detail {

inline Order::Page page_of(const std::vector<std::string>& steps) {
  if (steps.size() == 1 && steps[0] == "metrics") return Order::Page::metrics;
  if (steps.size() != 2 || steps[0] != "-") return Order::Page::object;
  if (steps[1] == "constant") return Order::Page::constant;
  return steps[1] == "changes" ? Order::Page::changes : Order::Page::object;
}

/// Fills the order, or says what is wrong.
inline std::optional<Answer> refusal(const http::request_header<>& header, Order& order) {
  const bool reads = header.method() == http::verb::get || header.method() == http::verb::head;
  if (header.method() == http::verb::unknown) return Answer::error(501, "no such method");
  if (!reads && header.method() != http::verb::put) return Answer::error(405, "GET, HEAD or PUT");

  // RFC 9112, 3.2: one Host, and a good one; HTTP/1.0 needs none.
  const auto hosts = header.count(http::field::host);
  if (hosts > 1 || (hosts == 0 && header.version() >= 11)) return Answer::error(400, "a request has one Host");
  std::optional<Target> target = parse_target(view_of(header.target()), view_of(header[http::field::host]));
  if (!target) return Answer::error(400, "target and Host are no URI of HTTP");
  order.page = page_of(target->steps);
  order.is_edit = !reads;
  order.query.path = std::move(target->steps);
  if (target->has_bad_wait) return Answer::error(400, "wait: milliseconds, at most " + std::to_string(kMaxWaitMs));
  if (target->wait) order.query.external_call = *target->wait;
  if (order.page != Order::Page::object && !reads) return Answer::error(405, "only synsets can be edited");

  for (auto [field, end] = header.equal_range(http::field::expect); order.expects_continue && field != end; ++field) {
    if (!beast::iequals(field->value(), "100-continue")) return Answer::error(417, "no expectation but 100-continue");
  }
  return std::nullopt;
}

}  // namespace detail

inline Order order_of(const http::request_header<>& header, std::chrono::milliseconds external_call) {
  Order order;
  order.query.external_call = external_call;
  order.query.as_html = wants_html(header);
  order.expects_continue = header.version() >= 11 && header.count(http::field::expect) > 0;  // HTTP/1.0 has none
  order.refused = detail::refusal(header, order);
  return order;
}

/// Takes the new gloss from the body of a PUT, or says what is wrong with it.
inline std::optional<Answer> take_body(std::string_view body, Query& query) {
  const auto json = nlohmann::json::parse(body, nullptr, false);
  if (!json.is_object() || !json.contains("gloss") || !json["gloss"].is_string())
    return Answer::error(400, "the body must be {\"gloss\": \"...\"}");
  query.new_gloss = json["gloss"].template get<std::string>();
  return std::nullopt;
}

/// What bytes that are no request are answered with; 0: nothing, for nobody is there to hear it.
inline unsigned status_of(const boost::system::error_code& error) {
  if (error == http::error::end_of_stream || error == http::error::partial_message) return 0;
  if (error == http::error::header_limit || error == http::error::buffer_overflow) return 431;
  if (error == http::error::body_limit) return 413;
  return error.category() == http::make_error_code(http::error::bad_method).category() ? 400 : 0;
}

}  // namespace cow::bench::publisher
