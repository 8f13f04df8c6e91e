/* Clients of the runtime: which one has sent a task, and whether it is gone. Only in modules. */
#ifndef CHIMAERA_SENDER_H_
#define CHIMAERA_SENDER_H_

#include <cstdint>

#include "chimaera/current.h"
#include "chimaera/macros.h"
#include "chimaera/types.h"

namespace chi {
inline namespace v1 CHI_LAYER {
namespace detail {

inline const chi_clients &Clients() {
  static const auto *clients = FindExtension<chi_clients>(CHI_EXT_CLIENTS);
  if (clients == nullptr) {
    throw Error(CHI_UNSUPPORTED, "this runtime does not tell which client has sent a task");
  }
  return *clients;
}

}  // namespace detail

/** A client of the runtime: a session of a process. A client that connects again is another one. A
 * module that makes something for a client remembers who that is, and gives it back when the client
 * is gone, however that ended. Copies are the same client.
 *
 *     void Allocate(hipc::FullPtr<AllocateTask> task, chi::RunContext &) {
 *       leases_.push_back({chi::Sender::Current(), FindRoom()});
 *     }
 *
 *     // Now and then, for example when there is no room.
 *     void GiveBack() {
 *       leases_.remove_if([](const Lease &lease) { return lease.of.IsGone(); });
 *     }
 *
 * All functions throw `CHI_UNSUPPORTED` in a runtime that does not tell. Thread: a worker.
 */
class Sender {
 public:
  /** The client that has sent the running task; none if a method or the runtime has. */
  static Sender Current() { return Sender(detail::Clients().sender(detail::g_host)); }

  /** The client with this number; none for 0. */
  explicit Sender(std::uint64_t number = 0) : number_(number) {}

  /** Its number, which no other client has, also none of another runtime; 0 for none. */
  std::uint64_t number() const { return number_; }

  /** Whether there is one. */
  explicit operator bool() const { return number_ != 0; }

  /** Whether its session and all of its tasks have ended. False for none, and for a client of
   * another runtime: it may have connected again. */
  bool IsGone() const { return Is(CHI_CLIENT_GONE); }

  /** Whether its session is open, or some of its tasks have not ended. */
  bool IsThere() const { return Is(CHI_CLIENT_THERE); }

  /** Whether both are the same client. */
  bool operator==(const Sender &other) const { return number_ == other.number_; }
  /** Whether they are two. */
  bool operator!=(const Sender &other) const { return number_ != other.number_; }

 private:
  bool Is(std::uint32_t what) const {
    return number_ != 0 && detail::Clients().is_there(detail::g_host, number_) == what;
  }

  std::uint64_t number_;
};

}  // namespace v1
}  // namespace chi

#endif  // CHIMAERA_SENDER_H_
