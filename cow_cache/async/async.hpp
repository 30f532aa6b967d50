// Asynchronous transactions on Boost.Asio: any number of them on a few threads. Include this.
//
//   cow::AsyncDatabase async(db);
//   cow::spawn(loop.get_executor(), cow::async_transact(async, loop.get_executor(),
//     [](cow::AsyncTransaction& txn) -> cow::Task<> {
//       const Account& seen = co_await cow::async_read(txn, alice);          // a hit goes on at once
//       co_await cow::outside(txn, [&](auto&) { return ask_the_bank(seen); }); // holds no thread, only what it has read
//       txn->write(alice).balance += 10;
//     }), boost::asio::detached);
//
// Fibers: fibers.hpp. Threads need nothing of this: Database::transact.
#pragma once

#include "async_database.hpp"
#include "cancellation.hpp"
#include "commit.hpp"
#include "outside.hpp"
#include "periodic.hpp"
#include "prefetch.hpp"
#include "read.hpp"
#include "sleep.hpp"
#include "spawn.hpp"
#include "task.hpp"
#include "transact.hpp"
#include "use_await.hpp"
#include "worker_pool.hpp"
