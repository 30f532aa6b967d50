#include "tokens.hpp"

#include <array>
#include <random>

#include "errors.hpp"

namespace cow::detail::postgres {

std::optional<Tid> settle_token(Pool& pool, const Statements& statements, std::string_view token, Tid snapshot) {
  pool.counters().tokens_asked.fetch_add(1, std::memory_order_relaxed);
  std::random_device random;
  return pool.repeat([&](Connection& connection) -> std::optional<Tid> {
    const std::int64_t name = -1 - static_cast<std::int64_t>((std::uint64_t{random()} << 31) ^ random());
    const std::array<std::optional<std::string_view>, 1> tokens{token};
    const Parameters burnt = std::move(Parameters().integer(name).integer(stored(snapshot)).bytes(token));
    // A commit that this waits for may be stuck. The server ends it where it is idle (idle_for_a_while, which is shorter).
    const std::vector<Result> answers = connection.run({{statements.begin_read_committed, kNone},
                                                        {statements.wait_for_a_while, kNone},
                                                        {statements.burn, burnt},
                                                        {statements.commit, kNone}});
    if (answers[2].rows() == 1) return std::nullopt;
    const Result known = connection.run(statements.tokens, Parameters().byte_strings(tokens));
    if (known.rows() != 1) throw StoreCorruptError("PostgresStore: a token is neither there nor absent");
    const std::int64_t tid = known.integer(0, 1);
    return tid < 0 ? std::nullopt : std::optional(tid_of(tid));
  });
}

}  // namespace cow::detail::postgres
