// Traces too rare for random runs: one replica, and what the others say to it, written out. Each
// says whether it goes wrong; it does when a rule is left out, and only then.
#pragma once

namespace keelson::simulation {

[[nodiscard]] bool promises_before_it_is_durable();
[[nodiscard]] bool takes_batches_of_a_zombie();
[[nodiscard]] bool counts_an_answer_of_an_earlier_epoch();
[[nodiscard]] bool commits_an_older_batch();
[[nodiscard]] bool begins_without_the_old_members();
[[nodiscard]] bool ends_a_change_by_the_epoch_before();
[[nodiscard]] bool answers_reads_before_it_knows();
[[nodiscard]] bool changes_to_members_that_have_nothing();
[[nodiscard]] bool leads_against_a_later_record();
[[nodiscard]] bool leads_against_a_later_message();
[[nodiscard]] bool stands_below_a_greater_log();
[[nodiscard]] bool goes_on_when_the_coordinator_has_gone_back();
[[nodiscard]] bool stands_by_a_record_left_behind();
[[nodiscard]] bool stands_without_a_record();
[[nodiscard]] bool is_forced_against_a_majority();
[[nodiscard]] bool is_forced_by_what_was_seen_before();
[[nodiscard]] bool goes_on_from_another_log_than_was_removed();

}  // namespace keelson::simulation
