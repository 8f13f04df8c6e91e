#include <iostream>
#include <string>
#include <vector>

#include "kv/kv_client.h"

using chimaera::kv::CountTask;
using chimaera::kv::PutTask;

namespace {

hipc::FullPtr<CountTask> NewCount(const chimaera::kv::Client &store) {
  return CHI_IPC_MANAGER->NewTask<CountTask>(HSHM_MCTX, store.pool_id_,
                                             chi::DomainQuery::Dynamic());
}

hipc::FullPtr<PutTask> NewPut(const chimaera::kv::Client &store, const std::string &key) {
  const auto fill = [&](PutTask &task) {
    task.key_ = key;
    task.value_.assign("white", 5);
  };
  return CHI_IPC_MANAGER->NewTask<PutTask>(HSHM_MCTX, store.pool_id_, chi::DomainQuery::Dynamic(),
                                           fill);
}

void Show(const std::string &what, const chi::Task &task) {
  std::cout << what << ": " << chi::StatusName(task.GetStatus()) << "\n";
}

}  // namespace

int main() {
  try {
    chi::Session session;
    auto *ipc = CHI_IPC_MANAGER;
    chimaera::kv::Client store;
    store.Create(HSHM_MCTX, "waves");

    // Many at once: one doorbell for all, and one wait.
    std::vector<hipc::FullPtr<PutTask>> puts;
    for (int i = 0; i < 100; ++i) puts.push_back(NewPut(store, "wave/" + std::to_string(i)));
    ipc->EnqueueBatch(puts);
    ipc->Wait(puts);
    Show("the last of a batch", *puts.back());
    for (const auto &put : puts) ipc->DelTask(put);

    // As they end: one thread for many, beside sockets, for `queue.descriptor()` can be polled.
    chi::Completions queue(100);
    int stored = 0;
    for (int i = 0; i < 100; ++i) {
      const auto put = NewPut(store, "tide/" + std::to_string(i));
      ipc->Enqueue(put);
      queue.Add(put, [&](const hipc::FullPtr<PutTask> &done) {
        stored += done->GetStatus() == CHI_OK;
        ipc->DelTask(done);
      });
    }
    while (stored < 100) queue.Run();
    std::cout << "one by one: " << stored << "\n";

    // A large value, read where the store has it: a put of another one does not change it.
    const auto query = chi::DomainQuery::Dynamic();
    store.Put(HSHM_MCTX, query, "ocean", std::string(1 << 20, 'w'));
    const auto ocean = store.GetLease(HSHM_MCTX, query, "ocean");
    store.Put(HSHM_MCTX, query, "ocean", "dry");
    std::cout << "on lease: " << ocean.size() << " bytes\n";

    // Every millisecond, until it is cancelled.
    chi::OwnedTask<CountTask> periodic(NewCount(store));
    periodic->SetPeriod(1000 * 1000);
    ipc->Enqueue(periodic.get());
    chi::Sleep(5 * 1000 * 1000);
    periodic->Cancel();
    periodic->Wait();
    Show("a periodic task that was cancelled", *periodic);

    // Useless after an hour, and in no hurry until then.
    chi::OwnedTask<CountTask> patient(NewCount(store));
    patient->SetDeadline(3600ull * 1000 * 1000 * 1000);
    patient->SetHighLatency();
    ipc->Enqueue(patient.get());
    patient->Wait();
    Show("a task with a deadline", *patient);

    // Nobody waits for it, and the runtime frees it.
    const auto forgotten = NewPut(store, "foam");
    forgotten->SetFireAndForget();
    ipc->Enqueue(forgotten);
  } catch (const chi::Error &error) {
    std::cerr << chi::StatusName(error.status()) << ": " << error.what() << "\n";
    return 1;
  }
}
