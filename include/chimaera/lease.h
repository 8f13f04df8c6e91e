/* Results that are read where a module has published them. */
#ifndef CHIMAERA_LEASE_H_
#define CHIMAERA_LEASE_H_

#include <cstddef>
#include <string_view>
#include <utility>

#include "chimaera/ipc_manager.h"

namespace chi {
inline namespace v1 CHI_LAYER {

/** The bytes of a result, with the task that they belong to: on lease where a module has published
 * them, without a copy, and in the session's segment otherwise. They stay as they are until this
 * object is destroyed, whatever happens to the value, the pool or the runtime; so keep it no longer
 * than needed. Movable, not copyable. Any thread.
 *
 *     chi::OwnedTask<GetTask> task(client.AsyncGet(...));  // after task.SetTakesLeases()
 *     task->Wait();
 *     task->ThrowIfFailed();
 *     chi::Lease<GetTask> value(std::move(task), &GetTask::value_);
 *     Use(value.data(), value.size());
 */
template <typename TaskT>
class Lease {
 public:
  /** The bytes of a field, a vector of one-byte elements, of a complete task. */
  template <typename T>
  Lease(OwnedTask<TaskT> task, const hipc::vector<T> TaskT::*field) : task_(std::move(task)) {
    const TaskT &complete = *task_;
    bytes_ = (complete.*field).view();
    is_on_lease_ = (complete.*field).shm_ >> CHI_SHM_PUBLISHED_SHIFT == CHI_SHM_PUBLISHED;
  }
  template <typename T>
  Lease(OwnedTask<TaskT> task, hipc::vector<T> TaskT::*field)
      : Lease(std::move(task), static_cast<const hipc::vector<T> TaskT::*>(field)) {}

  /** The address of the first byte. */
  const char *data() const { return bytes_.data(); }
  /** The number of bytes. */
  std::size_t size() const { return bytes_.size(); }
  /** Whether there are none. */
  bool empty() const { return bytes_.empty(); }
  const char *begin() const { return bytes_.data(); }
  const char *end() const { return bytes_.data() + bytes_.size(); }
  char operator[](std::size_t i) const { return bytes_[i]; }
  /** The bytes. Valid as long as this object. */
  std::string_view view() const { return bytes_; }
  /** Whether the bytes are on lease. If not, they were copied. */
  bool IsOnLease() const { return is_on_lease_; }

 private:
  OwnedTask<TaskT> task_;
  std::string_view bytes_;
  bool is_on_lease_ = false;
};

}  // namespace v1
}  // namespace chi

#endif  // CHIMAERA_LEASE_H_
