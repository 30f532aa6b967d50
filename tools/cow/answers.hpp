// The answers of `cow serve`, over HTTP, and which requests get no page.
//
// Thread safety: pure functions.
#pragma once

#include <fmt/core.h>

#include <boost/beast/core/string.hpp>
#include <boost/beast/http.hpp>
#include <optional>
#include <string>
#include <utility>

#include "pages.hpp"
#include "tools/web/html.hpp"

namespace cow::tool {

namespace beast = boost::beast;
namespace http = boost::beast::http;
using Request = http::request<http::empty_body>;
using Response = http::response<http::string_body>;

/// What every answer has.
inline Response blank_answer(const Request& request) {
  Response response(http::status::ok, request.version());
  response.keep_alive(request.keep_alive());
  response.set(http::field::content_type, beast::string_view(web::kHtml.data(), web::kHtml.size()));
  response.set(http::field::cache_control, "no-store");
  // What is in a store may look like markup, and is escaped; if that has a gap, nothing in it runs or is sent anywhere.
  response.set(
      "Content-Security-Policy",
      "default-src 'none'; style-src 'unsafe-inline'; form-action 'none'; base-uri 'none'; frame-ancestors 'none'");
  response.set("X-Content-Type-Options", "nosniff");
  response.set("Referrer-Policy", "no-referrer");
  return response;
}

inline Response with_body(const Request& request, Response response, std::string body) {
  if (response.result() != http::status::ok && body.find('<') == std::string::npos)
    response.set(http::field::content_type, "text/plain; charset=utf-8");
  const std::size_t length = body.size();
  if (request.method() != http::verb::head) response.body() = std::move(body);
  response.content_length(length);
  return response;
}

inline Response answer_with(const Request& request, Page page) {
  Response response = blank_answer(request);
  response.result(page.status);
  return with_body(request, std::move(response), std::move(page.body));
}

/// Whether that is how this server is asked for. A page of the web that has its own name lead here (DNS rebinding) asks for that name.
inline bool is_own(beast::string_view host, unsigned short port) {
  const std::string text(host.data(), host.size());
  const std::string suffix = fmt::format(":{}", port);
  for (const char* name : {"127.0.0.1", "localhost"}) {
    if (beast::iequals(text, name + suffix) || (port == 80 && beast::iequals(text, name))) return true;
  }
  return false;
}

/// Nothing: it asks for a page.
inline std::optional<Response> refusal_of(const Request& request, unsigned short port) {
  Response response = blank_answer(request);
  if (!is_own(request[http::field::host], port)) {
    response.result(http::status::misdirected_request);
    return with_body(request, std::move(response), "This is not the host that you ask for.\n");
  }
  if (request.method() != http::verb::get && request.method() != http::verb::head) {
    response.result(http::status::method_not_allowed);
    response.set(http::field::allow, "GET, HEAD");
    return with_body(request, std::move(response), "Nothing is written here.\n");
  }
  return std::nullopt;
}

}  // namespace cow::tool
