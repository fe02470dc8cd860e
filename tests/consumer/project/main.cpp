// The smallest program on the installed package.
#include <iostream>

#include "engine/store/position.h"

int main() {
  const auto position = keelson::Position::parse("0:4,1:2", 2);
  if (!position || position->next(keelson::PartitionId(1)) != keelson::Offset(3)) return 1;
  std::cout << position->to_string() << '\n';
}
