// A store as pages of HTML: the names in its root, objects with links to what they refer to, their history, the transactions, the types.
//
// Thread safety: one thread at a time, as the view that it shows.
#pragma once

#include <stop_token>
#include <string>
#include <string_view>

#include "store_view.hpp"

namespace cow::tool {

/// The body of an answer.
struct Page {
  unsigned status = 200;
  std::string body;
};

/// What a request's target names: "/", "/object/17?at=4", "/history/17", "/referrers/17", "/log?to=100", "/types". An address that is none of
/// these, an object that is not there or damaged, a snapshot that was packed away: a page that says so, and its status. `notice`:
/// shown on all pages, such as what cannot be read. `must_end` is looked at between two rows: if it is so, the page is given up.
Page page_of(const StoreView& reader, std::string_view target, std::string_view notice, std::stop_token must_end);

/// The page of a store that cannot be looked at.
Page failure_page(std::string_view why);

}  // namespace cow::tool
