// Addresses of stores in PostgreSQL: what is taken from them, what is left to libpq, what is shown.
#include "persistence/postgres_url.hpp"

#include <gtest/gtest.h>

#include <stdexcept>

namespace cow {
namespace {

TEST(PostgresUrl, IsToldFromAPath) {
  EXPECT_TRUE(is_postgres_url("postgres://db/app"));
  EXPECT_TRUE(is_postgres_url("postgresql://"));
  for (const char* path : {"", "postgres", "postgres:/db", "./postgres://db", "/postgres://db", "Postgres://db"})
    EXPECT_FALSE(is_postgres_url(path)) << path;
}

TEST(PostgresUrl, GivesTheStoresParametersToTheOptionsAndTheRestToLibpq) {
  const auto rest_of = [](const char* url) { return postgres_options_of(url).connection; };
  EXPECT_EQ(rest_of("postgres://app@db/objects"), "postgres://app@db/objects");
  EXPECT_EQ(rest_of("postgres://db/o?sslmode=require&schema=a&connect_timeout=2"),
            "postgres://db/o?sslmode=require&connect_timeout=2");
  EXPECT_EQ(rest_of("postgres://db/o?schema=a"), "postgres://db/o");
  EXPECT_EQ(rest_of("postgres://db/o?schema=a&pooler=none&x=1"), "postgres://db/o?x=1");
  EXPECT_EQ(postgres_options_of("postgres://db/o").schema, "cow");
  EXPECT_EQ(postgres_options_of("postgres://db/o?x=schema&schema=an%20archive%2f").schema, "an archive/");
  EXPECT_EQ(postgres_options_of("postgres://db/o?pooler=transaction").pooler, PostgresPooler::transaction);
  EXPECT_EQ(postgres_options_of("postgres://db/o").pooler, PostgresPooler::none);
}

TEST(PostgresUrl, RefusesWhatItCannotRead) {
  for (const char* url : {"postgres://db/o?pooler=session", "postgres://db/o?pooler", "postgres://db/o?schema=%",
                          "postgres://db/o?schema=%4", "postgres://db/o?schema=%4g", "postgres://db/o?schema=%-1"})
    EXPECT_THROW(postgres_options_of(url), std::invalid_argument) << url;
}

TEST(PostgresUrl, IsShownWithoutPasswords) {
  EXPECT_EQ(without_password("postgres://app:p%40ss:w@db:5432/o?a=b"), "postgres://app@db:5432/o?a=b");
  EXPECT_EQ(without_password("postgres://app:secret@[::1]:5432/o"), "postgres://app@[::1]:5432/o");
  EXPECT_EQ(without_password("postgres://app@db:5432/o:p@x"), "postgres://app@db:5432/o:p@x");
  EXPECT_EQ(without_password("postgres://db:5432?password=secret&schema=a&sslpassword=x"),
            "postgres://db:5432?schema=a");
  EXPECT_EQ(without_password("postgres://app:a@b@db"), "postgres://app@db");
  EXPECT_EQ(without_password("postgres://"), "postgres://");
}

}  // namespace
}  // namespace cow
