// What the asynchronous programs here have in common.
#pragma once

#include <cow_cache/async.hpp>

#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>

#include "bank.hpp"

struct AsyncBank : Bank {
  boost::asio::io_context loop{1};
  cow::AsyncDatabase async{db};
};
