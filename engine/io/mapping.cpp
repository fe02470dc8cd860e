#include "engine/io/mapping.h"

#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <cstdint>
#include <mutex>
#include <string>
#include <system_error>

namespace keelson::io {

/// What the handler reads of a mapping. `changes` is odd while the rest is being changed, so that
/// what it reads meanwhile is not taken for a mapping; its own is not changed then, as the thread
/// that the signal came to is reading it.
struct Mapping::Slot {
  std::atomic<std::uint64_t> changes = 0;
  std::atomic<std::uintptr_t> begin = 0;
  std::atomic<std::uintptr_t> end = 0;
  std::atomic<ReadFaults*> faults = nullptr;
};

/// For what is below.
struct MappingAccess {
  using Slot = Mapping::Slot;
};

namespace {

using Slot = MappingAccess::Slot;

/// Slots that are never given back, so that the handler may walk them at any time.
struct Block {
  std::array<Slot, 256> slots;
  std::atomic<Block*> next = nullptr;
};

constinit std::mutex registering;  // of those who change slots; the handler takes no lock
Block first_block;                 // NOLINT: for the life of the process
std::atomic<std::uintptr_t> page_bytes = 4096;
struct sigaction before_us;

Result<void> failed(const char* call) {
  return fail(errno == ENOMEM ? Errc::overloaded : Errc::io_error,
              std::string(call) + ": " + std::generic_category().message(errno));
}

void set(Slot& slot, std::uintptr_t begin, std::uintptr_t end, ReadFaults* faults) {
  slot.changes.fetch_add(1);
  slot.begin.store(begin);
  slot.end.store(end);
  slot.faults.store(faults);
  slot.changes.fetch_add(1);
}

/// With `registering` held.
Slot& free_slot() {
  for (Block* block = &first_block;; block = block->next.load()) {
    for (Slot& slot : block->slots) {
      if (slot.faults.load() == nullptr) return slot;
    }
    if (block->next.load() == nullptr) block->next.store(new Block);
  }
}

/// Puts zeros over [begin, end). The call itself: its wrapper may be somebody's who is not to be
/// called from a handler.
bool show_zeros(std::uintptr_t begin, std::uintptr_t end) {
  const long at = ::syscall(SYS_mmap, begin, end - begin, PROT_READ,
                            MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
  return at == static_cast<long>(begin);
}

/// Whether it was one of ours, and can be read again. Async-signal-safe.
bool mend(std::uintptr_t address) {
  for (Block* block = &first_block; block != nullptr; block = block->next.load()) {
    for (Slot& slot : block->slots) {
      const std::uint64_t changes = slot.changes.load();
      const std::uintptr_t begin = slot.begin.load();
      const std::uintptr_t end = slot.end.load();
      ReadFaults* const faults = slot.faults.load();
      if (changes % 2 != 0 || slot.changes.load() != changes) continue;
      if (faults == nullptr || address < begin || address >= end) continue;
      const std::uintptr_t page = page_bytes.load();
      const std::uintptr_t first = address / page * page;
      if (faults->add(first - begin, first - begin + page)) return show_zeros(first, first + page);
      return show_zeros(begin, (end + page - 1) / page * page);
    }
  }
  return false;
}

void pass_on(int signal, siginfo_t* info, void* context) {
  if ((before_us.sa_flags & SA_SIGINFO) != 0 && before_us.sa_sigaction != nullptr) {
    before_us.sa_sigaction(signal, info, context);
    return;
  }
  if (before_us.sa_handler != SIG_DFL && before_us.sa_handler != SIG_IGN) {
    before_us.sa_handler(signal);
    return;
  }
  // Sent by somebody: as if we were not here. Else what comes back comes to the same place, and
  // to what the system does about it.
  const bool sent = info->si_code <= 0;
  if (sent && before_us.sa_handler == SIG_IGN) return;
  struct sigaction as_ever {};
  as_ever.sa_handler = SIG_DFL;
  ::sigaction(signal, &as_ever, nullptr);
  if (sent) ::raise(signal);
}

void on_sigbus(int signal, siginfo_t* info, void* context) {
  const int error = errno;
  // A page that memory has lost comes as BUS_MCEERR_AR: its file may have it still, or not.
  const bool of_a_page = info->si_code == BUS_ADRERR || info->si_code == BUS_MCEERR_AR;
  const bool mended = of_a_page && mend(reinterpret_cast<std::uintptr_t>(info->si_addr));
  if (!mended) pass_on(signal, info, context);
  errno = error;
}

/// Once in a process. @return 0, or the error of the call.
int install() {
  page_bytes = static_cast<std::uintptr_t>(::sysconf(_SC_PAGESIZE));
  if (::sigaction(SIGBUS, nullptr, &before_us) != 0) return errno;
  struct sigaction ours {};
  ours.sa_sigaction = on_sigbus;
  ours.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_RESTART;
  ::sigemptyset(&ours.sa_mask);
  return ::sigaction(SIGBUS, &ours, nullptr) == 0 ? 0 : errno;
}

}  // namespace

Result<std::unique_ptr<Mapping>> Mapping::open(int fd, std::size_t bytes) {
  static const int installed = install();
  if (installed != 0) {
    errno = installed;
    return std::unexpected(failed("sigaction").error());
  }
  void* const at = ::mmap(nullptr, bytes, PROT_READ, MAP_SHARED, fd, 0);
  if (at == MAP_FAILED) return std::unexpected(failed("mmap").error());
  std::unique_ptr<Mapping> mapping(new Mapping(at, bytes));
  const auto begin = reinterpret_cast<std::uintptr_t>(at);
  const std::lock_guard lock(registering);
  mapping->slot_ = &free_slot();
  set(*mapping->slot_, begin, begin + bytes, &mapping->faults_);
  return mapping;
}

Mapping::~Mapping() {
  if (slot_ != nullptr) {
    const std::lock_guard lock(registering);
    set(*slot_, 0, 0, nullptr);
  }
  ::munmap(at_, bytes_);
}

}  // namespace keelson::io
