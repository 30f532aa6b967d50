// A group of proposals on its way into statements: checked, judged, and laid out as arrays.
//
// Thread safety: one thread at a time.
//
// Invariants:
//  1. [group-order] Of two proposals of a group that exclude each other the later one is refused, and only if the earlier one is not.
//  2. Of each oid one accepted proposal has a write at most.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "cow_cache/store/shared.hpp"
#include "cow_cache/types.hpp"
#include "values.hpp"

namespace cow::detail::postgres {

inline std::string_view bytes_of(const CommitToken& token) noexcept {
  return {reinterpret_cast<const char*>(token.data()), token.size()};
}

/// A token of one's own, for what has none.
CommitToken draw_token();

/// Throws std::invalid_argument if a proposal breaks the contract.
void require_valid(std::span<const Proposal> group);

/// Says of each proposal whether those before it, `newest` (tids by oid), and `tokens` (known tids by token) let it be committed. Accepted ones
/// are `committed` with the tid 0. `frontier`: the last tid; `oldest`: that snapshots may have.
struct Judgement {
  std::unordered_map<Oid, Tid> newest;
  std::unordered_map<std::string, std::int64_t> tokens;
  Tid frontier = kInfinity;
  Tid oldest{};
};
std::vector<Outcome> judge(std::span<const Proposal> group, const Judgement& known);

/// The accepted proposals, as arrays.
struct Layout {
  Layout(std::span<const Proposal> group, const std::vector<Outcome>& outcomes);

  std::vector<std::size_t> accepted;  ///< positions in the group; the first has place 1
  std::vector<std::int64_t> oids, places;
  std::vector<std::optional<std::string_view>> states;
  std::vector<std::int64_t> snapshots;  ///< by place: up to which what it writes may have changed
  std::vector<std::int64_t> read_oids, read_snapshots;
  std::vector<std::int64_t> transaction_places;
  std::vector<std::optional<std::string_view>> tokens, notes;
  Tid least = kInfinity, greatest{};
  bool has_absent_reads = false;
  std::string_view named_by;  ///< a token that tells what became of all

  Layout(const Layout&) = delete;
  Layout& operator=(const Layout&) = delete;

 private:
  CommitToken drawn_;
  std::vector<std::string> encoded_;
};

}  // namespace cow::detail::postgres
