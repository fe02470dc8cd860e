// The bank: its domain on Keelson, served.
#include "http/app.h"
#include "samples/bank/account.h"
#include "samples/bank/read_models.h"
#include "samples/bank/tools.h"
#include "samples/bank/transfer.h"

int main(int argc, char** argv) {
  keelson::http::App app("bank");
  app.aggregates().add<bank::Account>().add<bank::Transfer>();
  app.reactions().add<bank::StartTransfer>().add<bank::CarryTransfer>();
  app.projections().add(bank::bank_read_models());
  app.add_command("generate", "Invent a transactions file, as CSV", bank::run_generate);
  app.add_command("import", "Feed a transactions file to a bank", bank::run_import);
  app.add_command("watch", "Print events as they happen", bank::run_watch);
  return app.run(argc, argv);
}
