// PingReclaimer: an own EpochPOP: epochs as the normal case; where a bag stays full, all threads are pinged to publish what they read.
//
// Thread safety: as Reclaimer; see AttachedReclaimer. Every thread with a session has entered the PingDomain, and ends the transactions
// that it has begun.
//
// Invariants:
//  1. States whose stamp is below all announced epochs are free ([epoch-rule], transaction_registry.hpp).
//  2. If a bag holds more than kMinSifted after that, all threads publish; what is in no copy is free ([publish-on-ping], ping_domain.hpp).
//     A transaction that is in no list yet has read nothing: it looks after its thread has answered, and finds dead what is freed.
//
// Source: Singh, Brown, "Publish on Ping", PPoPP 2025, where it is called EpochPOP; ping_domain.hpp.
#pragma once

#include <tsl/robin_set.h>

#include <memory>

#include "bagged_reclaimer.hpp"
#include "ping_domain.hpp"

namespace cow::bench {

/// What tests break on purpose.
enum class PingFault { none, does_not_ping, frees_in_its_epoch, forgets_commits };

template <PingFault kFault = PingFault::none>
class PingReclaimer final : public BaggedReclaimer {
 public:
  PingReclaimer(cow::detail::TransactionRegistry& registry, std::size_t) : BaggedReclaimer(registry) {
    (void)PingDomain::instance();
  }

  std::unique_ptr<Attachment> attach() override { return std::make_unique<Session>(); }

 private:
  class Session final : public Attachment {
   public:
    void opened(cow::detail::Participant& participant) override { list_.open(participant); }
    void enter(std::uint32_t logged) override { list_.make_room(logged + std::size_t{1}); }
    void closing(bool commits) override { list_.close(commits && kFault != PingFault::forgets_commits); }
    void closed() noexcept override { list_.clear(); }

   private:
    PingDomain::PrivateList list_;
  };

  void take_free(cow::detail::RetireBatches& batches, Sift how, cow::detail::StateChain& free) override {
    std::uint64_t below = registry().safe_below() + (kFault == PingFault::frees_in_its_epoch ? 1 : 0);
    while (!batches.empty() && batches.front().stamp < below) {  // in the order of their stamps
      free.append(std::move(batches.front().states));
      batches.pop_front();
    }
    if (batches.empty() || (how == Sift::as_needed && bytes_in(batches) <= kMinSifted)) return;
    count_scan();
    tsl::robin_set<cow::detail::StateHandle, cow::detail::StateHandleHash> used;
    if (!PingDomain::instance().ask<kFault != PingFault::does_not_ping>(
            [&](cow::detail::StateHandle state) { used.insert(state); })) {
      return;
    }
    sort_out(batches, free, [&](std::uint64_t, const cow::detail::StateHeader& state) {
      return used.contains(cow::detail::handle_of(&state)) ? Fate::kept : Fate::free;
    });
  }
};

}  // namespace cow::bench
