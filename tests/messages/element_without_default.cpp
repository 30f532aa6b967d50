// Elements of a container that cannot be made before they are read.
#include "bank.hpp"

struct Point {
  explicit Point(int its_x) : x(its_x) {}
#if !defined(MISTAKE)
  Point() = default;
#endif
  int x = 0;
  MSGPACK_DEFINE(x);
};

struct Line {
  std::vector<Point> points;
  MSGPACK_DEFINE_MAP(points);
};

int main() {
  Bank bank;
  cow::Transaction txn = bank.db.begin();
  return txn.read(txn.root().get<Line>("line")).points.empty() ? 1 : 0;
}
