// URIs: what a request's target names, and how a link names it again. By uriparser, which follows RFC 3986.
//
// Thread safety: plain values and functions.
#pragma once

#include <uriparser/Uri.h>

#include <boost/beast/core/string.hpp>
#include <charconv>
#include <chrono>
#include <new>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace cow::bench::publisher {

/// The longest time that a request may ask for by ?wait=MILLISECONDS.
inline constexpr unsigned kMaxWaitMs = 60'000;

struct Target {
  std::vector<std::string> steps;  ///< of the path, decoded; '_' for spaces; empty ones left out
  bool has_bad_wait = false;
  std::optional<std::chrono::milliseconds> wait;
};

namespace detail {

inline std::string_view text_of(const UriTextRangeA& range) {
  return range.first == nullptr
             ? std::string_view()
             : std::string_view(range.first, static_cast<std::size_t>(range.afterLast - range.first));
}

inline bool is_http(std::string_view scheme) {
  const boost::beast::string_view text(scheme.data(), scheme.size());
  return boost::beast::iequals(text, "http") || boost::beast::iequals(text, "https");
}

/// Nothing: it holds control characters, which no name has.
inline std::optional<std::string> decoded_step(const UriTextRangeA& range) {
  std::string step(text_of(range));
  const char* end = uriUnescapeInPlaceExA(step.data(), URI_FALSE, URI_BR_DONT_TOUCH);
  step.resize(static_cast<std::size_t>(end - step.data()));
  for (char& c : step) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7F) return std::nullopt;
    if (c == ' ') c = '_';
  }
  return step;
}

inline void read_parameters(const UriTextRangeA& query, Target& target) {
  if (query.first == nullptr || query.first == query.afterLast) return;
  UriQueryListA* list = nullptr;
  int count = 0;
  if (uriDissectQueryMallocA(&list, &count, query.first, query.afterLast) != URI_SUCCESS) throw std::bad_alloc();
  for (const UriQueryListA* parameter = list; parameter != nullptr; parameter = parameter->next) {
    if (std::string_view(parameter->key) != "wait") continue;
    const std::string_view text = parameter->value == nullptr ? "" : parameter->value;
    unsigned milliseconds = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), milliseconds);
    if (error != std::errc{} || end != text.data() + text.size() || milliseconds > kMaxWaitMs) {
      target.has_bad_wait = true;
    } else {
      target.wait = std::chrono::milliseconds(milliseconds);
    }
  }
  uriFreeQueryListA(list);
}

}  // namespace detail

/// What "/dog/hypernyms/0?wait=5" or "http://host/dog" names; nothing: it is no URI of HTTP. `host` is the Host field, which
/// must be one too.
inline std::optional<Target> parse_target(std::string_view text, std::string_view host) {
  // These would end the host, so that the rest of it became a path.
  if (host.find_first_of("/?#@\\") != host.npos) return std::nullopt;
  if (host.empty()) host = "localhost";
  std::string uri = "http://" + std::string(host);
  const bool is_absolute = !text.starts_with('/');
  if (is_absolute && text.find("://") == text.npos) return std::nullopt;
  if (!is_absolute) uri += text;

  struct Parsed {
    UriUriA uri{};
    bool well = false;
    explicit Parsed(const std::string& from) {
      const char* where = nullptr;
      const int error = uriParseSingleUriExA(&uri, from.data(), from.data() + from.size(), &where);
      if (error == URI_ERROR_MALLOC) throw std::bad_alloc();
      well = error == URI_SUCCESS;
    }
    ~Parsed() {
      if (well) uriFreeUriMembersA(&uri);
    }
    Parsed(const Parsed&) = delete;
    Parsed& operator=(const Parsed&) = delete;
  };
  const Parsed by_host(uri);
  if (!by_host.well) return std::nullopt;
  std::optional<Parsed> by_target;
  const std::string absolute(is_absolute ? text : std::string_view());
  if (is_absolute) {
    by_target.emplace(absolute);
    if (!by_target->well || !detail::is_http(detail::text_of(by_target->uri.scheme)) ||
        detail::text_of(by_target->uri.hostText).empty() || by_target->uri.userInfo.first != nullptr)
      return std::nullopt;
  }
  const UriUriA& parsed = is_absolute ? by_target->uri : by_host.uri;
  if (parsed.fragment.first != nullptr) return std::nullopt;
  Target target;
  for (const UriPathSegmentA* segment = parsed.pathHead; segment != nullptr; segment = segment->next) {
    std::optional<std::string> step = detail::decoded_step(segment->text);
    if (!step) return std::nullopt;
    if (!step->empty()) target.steps.push_back(*std::move(step));
  }
  detail::read_parameters(parsed.query, target);
  return target;
}

/// A step of a path that `parse_target` decodes to `step`: "tcp/ip" is "tcp%2Fip".
inline std::string encoded_step(std::string_view step) {
  std::string text(3 * step.size() + 1, '\0');
  const char* end = uriEscapeExA(step.data(), step.data() + step.size(), text.data(), URI_FALSE, URI_FALSE);
  text.resize(static_cast<std::size_t>(end - text.data()));
  return text;
}

}  // namespace cow::bench::publisher
