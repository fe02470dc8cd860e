// The bank: its domain on Keelson, served.
#include "samples/bank/tools.h"

int main(int argc, char** argv) {
  if (const auto exit_code = bank::run_tool(argc, argv)) return *exit_code;
  return 2;
}
