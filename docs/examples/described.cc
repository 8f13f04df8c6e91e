#include <iostream>

#include "greet/greet_client.h"

using hello::greet::GreetTask;

int main() {
  try {
    chi::Session session;
    auto *ipc = CHI_IPC_MANAGER;
    hello::greet::Client greeter;
    greeter.Create(HSHM_MCTX, "greeter");

    // The inputs, as the client's calls take them.
    chi::OwnedTask<GreetTask> task(
        ipc->NewTask<GreetTask>(HSHM_MCTX, greeter.pool_id_, chi::DomainQuery::Dynamic(), "Ada"));
    task->SetDeadline(3600ull * 1000 * 1000 * 1000);
    ipc->Enqueue(task.get());
    task->Wait();
    task->ThrowIfFailed();
    std::cout << task->text_.str() << "\n";
  } catch (const chi::Error &error) {
    std::cerr << chi::StatusName(error.status()) << ": " << error.what() << "\n";
    return 1;
  }
}
