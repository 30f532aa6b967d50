// STMBench7's operations proper, OP1 to OP15: a few objects each, most of them found by an index.
//
// Thread safety: functions of the transaction that their context belongs to.
#pragma once

#include <cstdint>
#include <stdexcept>
#include <string>

#include "context.hpp"
#include "operations.hpp"

namespace cow::bench::stmbench7 {

namespace detail {

/// OP1, OP9, OP15: `visit` ten atomic parts drawn by id, those that there are.
template <class Database, class Visit>
void visit_drawn_parts(Context<Database>& context, Visit visit) {
  for (int i = 0; i < 10; ++i) {
    if (const auto* part = context.draw_atomic()) visit(*part);
  }
}

/// OP6, OP12: `visit` a drawn complex assembly and its siblings.
template <class Database, class Visit>
Outcome visit_complex_siblings(Context<Database>& context, Visit visit) {
  const auto* drawn = context.draw_complex();
  if (drawn == nullptr) return kFailed;
  const auto& super = context.txn.read(*drawn).super;
  if (super) {
    for (const auto& sibling : context.txn.read(super).complex_assemblies) visit(sibling);
  } else {
    visit(*drawn);  // the design root has none
  }
  return {};
}

/// OP7, OP13: the same with base assemblies.
template <class Database, class Visit>
Outcome visit_base_siblings(Context<Database>& context, Visit visit) {
  const auto* drawn = context.draw_base();
  if (drawn == nullptr) return kFailed;
  for (const auto& sibling : context.txn.read(context.txn.read(*drawn).super).base_assemblies) visit(sibling);
  return {};
}

/// OP8, OP14: `visit` the components of a drawn base assembly.
template <class Database, class Visit>
Outcome visit_components(Context<Database>& context, Visit visit) {
  const auto* drawn = context.draw_base();
  if (drawn == nullptr) return kFailed;
  for (const auto& component : context.txn.read(*drawn).components_private) visit(component);
  return {};
}

/// OP11: every 'I' of the manual becomes an 'i', or the other way round.
inline std::int64_t toggle_letters(std::string& text) {
  const char from = text.front() == 'I' ? 'I' : 'i', to = from == 'I' ? 'i' : 'I';
  std::int64_t count = 0;
  for (char& c : text) {
    if (c != from) continue;
    c = to;
    ++count;
  }
  return count;
}

}  // namespace detail

/// REQUIRES: `operation` is one of OP1 to OP15.
template <class Database>
Outcome run_operation(Context<Database>& context, Operation operation) {
  using enum Operation;
  using namespace detail;
  auto& txn = context.txn;
  Outcome outcome;
  std::int64_t sum = 0;
  auto look_at_part = [&](const auto& part) { sum += txn.read(part).x - txn.read(part).y; };
  auto look_at_date = [&](const auto& object) { sum += txn.read(object).build_date; };
  auto swap = [&](const auto& part) { oo7::swap_position(txn, part); };
  auto toggle_date = [&](const auto& object) { oo7::toggle_date(txn, object); };
  const auto& manual = context.view.module.manual;
  switch (operation) {
    case op1:
      visit_drawn_parts(context, look_at_part);
      break;
    case op2:
      context.view.atomic_parts_built(oo7::kFirstOfOnePercent, oo7::kLastDate, look_at_part);
      break;
    case op3:
      context.view.atomic_parts_built(oo7::kFirstOfTenPercent, oo7::kLastDate, look_at_part);
      break;
    case op4:
      sum = static_cast<std::int64_t>(oo7::count_of('I', txn.read(manual).text));
      break;
    case op5:
      sum = txn.read(manual).text.front() == txn.read(manual).text.back();
      break;
    case op6:
      outcome = visit_complex_siblings(context, look_at_date);
      break;
    case op7:
      outcome = visit_base_siblings(context, look_at_date);
      break;
    case op8:
      outcome = visit_components(context, look_at_date);
      break;
    case op9:
      visit_drawn_parts(context, swap);
      break;
    case op10:
      context.view.atomic_parts_built(oo7::kFirstOfOnePercent, oo7::kLastDate, swap);
      break;
    case op11:
      sum = toggle_letters(txn.write(manual).text);
      break;
    case op12:
      outcome = visit_complex_siblings(context, toggle_date);
      break;
    case op13:
      outcome = visit_base_siblings(context, toggle_date);
      break;
    case op14:
      outcome = visit_components(context, toggle_date);
      break;
    case op15:
      visit_drawn_parts(context,
                        [&](const auto& part) { oo7::toggle_indexed_date<Database>(txn, context.view.indexes, part); });
      break;
    default:
      throw std::logic_error("not an operation of STMBench7");
  }
  outcome.checksum = sum;
  return outcome;
}

}  // namespace cow::bench::stmbench7
