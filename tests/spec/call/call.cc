/* Calls the modules made from the specification's listings. */
#include <cstdio>
#include <string>
#include <thread>

#include "mod_name/mod_name_client.h"
#include "own/own_tasks.h"
#include "run/run_tasks.h"

namespace {

int g_failures = 0;

void Expect(bool holds, const char *what) {
  if (holds) return;
  std::fprintf(stderr, "failed: %s\n", what);
  ++g_failures;
}

const chi::DomainQuery kQuery = chi::DomainQuery::Dynamic();

/** The client, the task and the container of the listings. */
void TestListings() {
  example::mod_name::Client client;
  client.Create(HSHM_MCTX, "typed");
  Expect(!client.pool_id_.IsNull(), "the client knows its pool");
  client.Compress(HSHM_MCTX, kQuery);

  auto *ipc_manager = CHI_IPC_MANAGER;
  hipc::FullPtr<example::mod_name::CompressTask> task = client.AsyncCompress(HSHM_MCTX, kQuery);
  task->Wait();
  Expect(task->GetStatus() == CHI_OK, "the task succeeds");
  ipc_manager->DelTask(task);

  using example::mod_name::DecompressTask;
  chi::OwnedTask<DecompressTask> counts(
      ipc_manager->SubmitTask<DecompressTask>(HSHM_MCTX, client.pool_id_, kQuery));
  counts->Wait();
  counts->ThrowIfFailed();
  Expect(counts->compressed_ == 2, "Compress runs once for each task");
  Expect(counts->monitored_ == 2, "MonitorCompress schedules each task");
}

/** Runs a task of hand:run. */
chi::OwnedTask<hand::run::CompressTask> CallHand(chi::u32 method) {
  auto *ipc_manager = CHI_IPC_MANAGER;
  const chi::PoolId pool = ipc_manager->CreatePool("hand:run", "hand");
  chi::OwnedTask<hand::run::CompressTask> task(
      ipc_manager->SubmitTask<hand::run::CompressTask>(HSHM_MCTX, pool, kQuery, "text", method));
  task->Wait();
  return task;
}

/** A hand-written Run: tasks have the size and layout given in the method table. */
void TestRunByHand() {
  const auto task = CallHand(hand::run::Method::kCompress);
  Expect(task->GetStatus() == CHI_OK, "a hand-written Run works");
  Expect(task->output_.str() == "text, compressed", "strings of its tasks are passed both ways");
  Expect(task->monitored_ == 1, "its monitors are called");

  const auto refused = [](chi::u32 method, const char *message) {
    const auto task = CallHand(method);
    Expect(task->GetStatus() == CHI_UNSUPPORTED, message);
    Expect(task->GetMessage() == message, task->GetMessage().c_str());
  };
  refused(CHI_METHOD_MIGRATE, "the module hand:run does not support kMigrate (method 4)");
  refused(CHI_METHOD_UPGRADE,
          "only the runtime itself calls kUpgrade (method 5) of module hand:run");
  refused(CHI_METHOD_CREATE, "only the runtime itself calls kCreate (method 0) of module hand:run");
}

/** A hand-written method table. */
void TestOwnDispatch() {
  const chi::PoolId pool = CHI_IPC_MANAGER->CreatePool("hand:own", "own");
  for (const int method : {hand::own::Method::kFirst, hand::own::Method::kSecond}) {
    chi::OwnedTask<hand::own::CountTask> task(CHI_IPC_MANAGER->SubmitTask<hand::own::CountTask>(
        HSHM_MCTX, pool, kQuery, static_cast<chi::u32>(method)));
    task->Wait();
    task->ThrowIfFailed();
    Expect(task->method_that_ran_ == static_cast<chi::u32>(method), "both methods run");
  }
}

/** An application's threads may share the pointer. */
void TestManager() {
  const chi::IpcManager *manager = CHI_IPC_MANAGER;
  const chi::IpcManager *others = nullptr;
  std::thread([&] { others = CHI_IPC_MANAGER; }).join();
  Expect(manager == CHI_IPC_MANAGER && manager == others, "a process has one IPC manager");
}

}  // namespace

int main() {
  try {
    chi::Session session;
    TestListings();
    TestRunByHand();
    TestOwnDispatch();
    TestManager();
  } catch (const chi::Error &error) {
    std::fprintf(stderr, "%s: %s\n", chi::StatusName(error.status()), error.what());
    return 1;
  }
  return g_failures == 0 ? 0 : 1;
}
