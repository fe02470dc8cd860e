// The tables that the bank is read from.
#pragma once

#include "projections/projection.h"

namespace bank {

/// The projection `bank`:
///
/// - `balances`: a row for each open account.
/// - `statements`: a row for each movement, of open and closed accounts.
/// - `daily_totals`: what was booked on a day, per partition: sum over them, GROUP BY day.
/// - `transfers`: where each transfer stands, with the reason when it did not complete.
/// - `held`: money on its way: sent by an account and not yet settled or returned.
[[nodiscard]] keelson::projections::Projection bank_read_models();

}  // namespace bank
