// A warehouse's stock: the smallest whole service. README.md shows it and explains the parts.
#include <cstdint>
#include <limits>
#include <string_view>
#include <variant>

#include "aggregates/decider.h"
#include "http/app.h"
#include "projections/projection.h"

namespace aggregates = keelson::aggregates;
using aggregates::field;
using aggregates::fields;

// [docs: item]
struct Item {
  static constexpr std::string_view kType = "item";

  struct State {
    std::int64_t quantity = 0;
    static constexpr auto kFields = fields(field("quantity", &State::quantity));
  };

  struct Receive {  // commands: what may be asked
    static constexpr std::string_view kName = "receive";
    std::int64_t quantity = 0;
    static constexpr auto kFields = fields(field("quantity", &Receive::quantity, {.min = 1}));
  };
  struct Ship {
    static constexpr std::string_view kName = "ship";
    std::int64_t quantity = 0;
    static constexpr auto kFields = fields(field("quantity", &Ship::quantity, {.min = 1}));
  };
  using Command = std::variant<Receive, Ship>;

  struct Received {  // events: what has happened
    static constexpr std::string_view kType = "received";
    std::int64_t quantity = 0;
    static constexpr auto kFields = fields(field("quantity", &Received::quantity));
  };
  struct Shipped {
    static constexpr std::string_view kType = "shipped";
    std::int64_t quantity = 0;
    static constexpr auto kFields = fields(field("quantity", &Shipped::quantity));
  };
  using Event = std::variant<Received, Shipped>;

  using Decision = aggregates::Decision<Event>;
  static Decision decide(const State& state, const Receive& command, const aggregates::Context&) {
    if (command.quantity > std::numeric_limits<std::int64_t>::max() - state.quantity)
      return aggregates::refuse("too_many");
    return Received{command.quantity};
  }
  static Decision decide(const State& state, const Ship& command, const aggregates::Context&) {
    if (command.quantity > state.quantity) return aggregates::refuse("out_of_stock");
    return Shipped{command.quantity};
  }

  static State evolve(State state, const Received& event) {
    return {state.quantity + event.quantity};
  }
  static State evolve(State state, const Shipped& event) {
    return {state.quantity - event.quantity};
  }
};
// [end]

// [docs: stock]
keelson::projections::Projection stock() {
  keelson::projections::Projection projection("stock", 1);
  projection.schema(R"sql(
    CREATE TABLE stock (item_id TEXT PRIMARY KEY, quantity INTEGER NOT NULL) STRICT;
  )sql");
  projection.on("item", "received", R"sql(
    INSERT INTO stock VALUES (@stream_id, :quantity)
    ON CONFLICT (item_id) DO UPDATE SET quantity = quantity + excluded.quantity
  )sql");
  projection.on("item", "shipped", R"sql(
    UPDATE stock SET quantity = quantity - :quantity WHERE item_id = @stream_id
  )sql");
  return projection;
}

int main(int argc, char** argv) {
  keelson::http::App app("stock");
  app.aggregates().add<Item>();
  app.projections().add(stock());
  return app.run(argc, argv);
}
// [end]
