// What has become of a commit whose answer was lost.
//
// The statement that was sent last may still run on the server, or reach it later: by asking whether its token is there one would be told
// "no" now and see it commit a moment later. So the token is *inserted*, as burnt. If that succeeds, the commit can never succeed, for the
// token is unique; if it collides, the commit is there. While it is under way the insertion waits for its end.
//
// Thread safety: one thread at a time per call.
#pragma once

#include <optional>
#include <string_view>

#include "cow_cache/types.hpp"
#include "pool.hpp"
#include "statements.hpp"

namespace cow::detail::postgres {

/// The tid under which the token was committed; nothing: it is burnt, and never will be. `snapshot`: the least of its group. Throws
/// StoreError if that cannot be found out.
std::optional<Tid> settle_token(Pool& pool, const Statements& statements, std::string_view token, Tid snapshot);

}  // namespace cow::detail::postgres
