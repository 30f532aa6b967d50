// Asynchronous transactions on Boost.Asio: any number of them on a few threads. Include this.
//
//   cow::AsyncDatabase async(db);
//   cow::spawn(loop.get_executor(), cow::async_transact(async, loop.get_executor(),
//     [alice](cow::AsyncTransaction& txn) -> cow::Task<> {
//       const Account& seen = co_await cow::async_read(txn, alice);          // a hit goes on at once
//       auto call = [name = seen.owner](const cow::Cancellation&) { return ask_the_bank(name); };
//       co_await cow::outside(txn, call);                                    // holds no thread, only what it has read
//       txn->write(alice).balance += 10;
//     }), boost::asio::detached);
//
// Fibers: fibers.hpp. Threads need nothing of this: Database::transact.
//
// With GCC 12 do not write the closure into the co_await, nor `co_await cow::async_read(txn, txn->create(Account{...}))`: that
// compiler destroys such temporaries twice. Most of that does not compile; by_name.hpp says what does, and what to write.
//
// Thread safety: see the headers below.
//
// What must outlive what:
//  - The Store outlives the Database, that one the AsyncDatabase, and that one its transactions, and whatever awaits one.
//  - Each loop (or strand, or pool of another library) outlives the tasks that were spawned on it, the handlers that are bound
//    to it, and what was made with its executor: Sleepers and their wakers, operations, AsyncTransactions. Both it and the
//    handlers' loops have work until the handlers have returned. So once `run` has returned of its own accord, all this is
//    done, and the loop may be destroyed at once, before the AsyncDatabase or after it.
//  - A loop that was stopped is run again before it is destroyed, until it is done: a task that has begun is never destroyed
//    before it has ended (task.hpp). To end early, stop the tasks with their std::stop_token.
//  - A WorkerPool outlives what awaits `async_run` on it. Its destructor, and that of the AsyncDatabase, do what is queued,
//    and join; what that resumes is queued for its loop, which must be there still.
//  - What a task refers to (`[&]`, `this`, the closure of a lambda that is itself a coroutine, the Ref that `async_read` and
//    `async_prefetch` are given) outlives the task. `outside`, `async_transact`, `async_run` and `periodic` keep the callable
//    that they are given; a coroutine that is a lambda and is called directly does not keep its closure.
#pragma once

#include "version.hpp"

#include "async/async_database.hpp"
#include "async/cancellation.hpp"
#include "async/commit.hpp"
#include "async/detail/by_name.hpp"
#include "async/outside.hpp"
#include "async/periodic.hpp"
#include "async/prefetch.hpp"
#include "async/read.hpp"
#include "async/sleep.hpp"
#include "async/spawn.hpp"
#include "async/task.hpp"
#include "async/transact.hpp"
#include "async/use_await.hpp"
#include "async/worker_pool.hpp"
