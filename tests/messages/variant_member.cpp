// A std::variant, which msgpack-cxx cannot write.
#include "bank.hpp"

#include <optional>
#include <variant>

struct Setting {
  std::string name;
#if defined(MISTAKE)
  std::variant<int, std::string> value;
  MSGPACK_DEFINE_MAP(name, value);
#else
  std::optional<int> number;
  std::optional<std::string> text;
  MSGPACK_DEFINE_MAP(name, number, text);
#endif
};

int main() {
  Bank bank;
  bank.db.transact([](cow::Transaction& txn) { txn.root().emplace("setting", Setting()); });
}
