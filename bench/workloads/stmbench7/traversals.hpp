// STMBench7's traversals: the long ones, which are OO7's, and ST1 to ST10.
//
// Thread safety: functions of the transaction that their context belongs to.
#pragma once

#include <cstdint>
#include <stdexcept>

#include "context.hpp"
#include "operations.hpp"

namespace cow::bench::stmbench7 {

namespace detail {

/// Q6: counts the base assemblies with a younger component and the complex ones above them.
template <class Database, class Assembly>
std::int64_t count_with_younger_parts(Context<Database>& context, const Assembly& assembly) {
  std::int64_t count = 0;
  for (const auto& sub : assembly.complex_assemblies) {
    count += count_with_younger_parts(context, context.txn.read(sub));
  }
  for (const auto& sub : assembly.base_assemblies) count += context.view.uses_younger_part(context.txn.read(sub));
  return count == 0 ? 0 : count + 1;
}

template <class Database>
Outcome count_document(Context<Database>& context) {
  const auto* composite = context.way_down();
  if (composite == nullptr) return kFailed;
  const auto& document = context.txn.read(context.txn.read(*composite).documentation);
  return {.checksum = static_cast<std::int64_t>(oo7::count_of('I', document.text))};
}

/// ST4: a hundred titles.
template <class Database>
Outcome look_up_titles(Context<Database>& context) {
  Outcome outcome;
  for (int i = 0; i < 100; ++i) {
    const auto* document = context.draw_document();
    if (document == nullptr) continue;
    for (const auto& user : context.txn.read(context.txn.read(*document).part).used_in_private) {
      outcome.checksum += context.txn.read(user).build_date;
    }
  }
  return outcome;
}

/// ST3 and ST8: `visit` each assembly above a random atomic part.
template <class Database, class Visit>
Outcome visit_above(Context<Database>& context, Visit visit) {
  const auto* part = context.draw_atomic();
  if (part == nullptr) return kFailed;
  context.view.assemblies_above(context.txn.read(context.txn.read(*part).part_of), visit, visit);
  return {};
}

/// ST9 and ST10.
template <oo7::Operation operation, class Database>
Outcome traverse_one_composite(Context<Database>& context) {
  const auto* composite = context.way_down();
  if (composite == nullptr) return kFailed;
  return {
      .checksum =
          context.traverser.template traverse_composite<operation>(context.txn, context.txn.read(*composite)).checksum};
}

}  // namespace detail

/// REQUIRES: `operation` is a long traversal.
template <class Database>
Outcome run_long_traversal(Context<Database>& context, Operation operation) {
  if (operation == Operation::q6) {
    return {.checksum = detail::count_with_younger_parts(context, context.txn.read(context.view.module.design_root))};
  }
  if (operation == Operation::q7) {
    Outcome outcome;
    context.view.indexes.atomic_by_id.scan_all([&](std::uint32_t, const auto& reference) {
      outcome.checksum += context.txn.read(reference).x;
      return true;
    });
    return outcome;
  }
  // Both benchmarks call these by the same names.
  return {.checksum = context.traverser.run(context.txn, oo7::operation_named(info_of(operation).name)).checksum};
}

/// REQUIRES: `operation` is a short traversal.
template <class Database>
Outcome run_short_traversal(Context<Database>& context, Operation operation) {
  using enum Operation;
  auto& txn = context.txn;
  Outcome outcome;
  switch (operation) {
    case st1:
    case st6: {
      const auto* composite = context.way_down();
      if (composite == nullptr) return kFailed;
      const auto& part = context.one_of(txn.read(*composite).parts);
      if (operation == st6) {
        oo7::swap_position(txn, part);
      } else {
        outcome.checksum = txn.read(part).x + txn.read(part).y;
      }
      return outcome;
    }
    case st2:
      return detail::count_document(context);
    case st7: {
      const auto* composite = context.way_down();
      if (composite == nullptr) return kFailed;
      outcome.checksum =
          static_cast<std::int64_t>(oo7::toggle_phrases(txn.write(txn.read(*composite).documentation).text));
      return outcome;
    }
    case st3: {
      std::int64_t sum = 0;
      outcome = detail::visit_above(context, [&](const auto& assembly) { sum += txn.read(assembly).build_date; });
      outcome.checksum = sum;
      return outcome;
    }
    case st8:
      return detail::visit_above(context, [&](const auto& assembly) { oo7::toggle_date(txn, assembly); });
    case st4:
      return detail::look_up_titles(context);
    case st5:
      context.view.base_assemblies_with_younger_parts([&](const auto&) { ++outcome.checksum; });
      return outcome;
    case st9:
      return detail::traverse_one_composite<oo7::Operation::t1>(context);
    case st10:
      return detail::traverse_one_composite<oo7::Operation::t2b>(context);
    default:
      throw std::logic_error("not a short traversal of STMBench7");
  }
}

}  // namespace cow::bench::stmbench7
