// The PostgreSQL server of a test: that of the measurements (bench/support/postgres_server.hpp).
#pragma once

#include "bench/support/postgres_server.hpp"

namespace cow::testing {

using bench::free_port;
using bench::has_postgres;
using bench::OrdinaryProcess;
using bench::PostgresServer;

}  // namespace cow::testing
