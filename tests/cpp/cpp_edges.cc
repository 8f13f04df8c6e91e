// clang-format off
/* Clients at the edges of a process's life and of their session's, driven by the whole-system
 * tests:
 *
 *     cpp_edges learn HOW       waits for a task that never ends, parked, bounded, polling, asking
 *                               or by the word; says "ready", and the status when it learns of the
 *                               end
 *     cpp_edges exit HOW        puts a key in the store "edges" at its end: atexit, static,
 *                               thread_local or key
 *     cpp_edges count           says how many keys the store has
 *     cpp_edges leave           ends main's thread, and a little later its only other one
 *     cpp_edges signal          takes a signal to the process that all its threads block
 *     cpp_edges fork WHEN       forks without a session before (none), after a failed chi_init
 *                               (failed) or after chi_shutdown (shutdown), and the child connects
 *     cpp_edges descriptors N   connects with N descriptors left
 *     cpp_edges declared        compresses with tasks declared in other ways than the module's, and
 *                               says what becomes of each
 *     cpp_edges init [MS]       connects, with a timer that interrupts each MS milliseconds
 *     cpp_edges deadline MS N   has a task yield N times with this deadline
 *     cpp_edges crowd           submits from more threads than may; a task that is refused is not
 *                               in flight
 *     cpp_edges reconnect       says "ready", and on a line of input has one thread connect again
 *                               while another one waits for a task of the session before
 *
 * Unless told otherwise above, each prints the name of a status and the message. */
// clang-format on
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <thread>
#include <vector>

#include "chimaera/chimaera.h"
#include "kv/kv_c.h"
#include "throws_method_tasks.h"

namespace {

/* CompressTask of example:mod_name, as its author may have declared it before: `LevelT` and
 * `ElementT` are the types of its level and of the elements of what it gives. */
template <typename LevelT, typename ElementT>
struct DeclaredTask : public chi::Task {
  LevelT level_ = 0;
  chi::u32 reserved_ = 0;
  hipc::vector<char> data_;
  hipc::vector<ElementT> output_;

  explicit DeclaredTask(const hipc::CtxAllocator<CHI_ALLOC_T> &alloc)
      : chi::Task(alloc), data_(alloc), output_(alloc) {}
  DeclaredTask(const hipc::CtxAllocator<CHI_ALLOC_T> &alloc, const chi::PoolId &pool)
      : DeclaredTask(alloc) {
    pool_ = pool;
    method_ = 10;
  }

  template <typename Ar>
  void SerializeIn(Ar &ar) {
    ar(level_, data_);
  }
  template <typename Ar>
  void SerializeOut(Ar &ar) {
    ar(output_);
  }
};

const chi_domain_query kQuery = {CHI_DOMAIN_DYNAMIC, 0};
constexpr uint64_t kHour = 3600ull * 1000 * 1000 * 1000;

int Say(chi_status status) {
  std::printf("%s %s\n", chi_status_name(status), status == CHI_OK ? "" : chi_last_error());
  std::fflush(stdout);
  return 0;
}

chi_status Init(const char *instance) {
  chi_client_options options = {};
  options.size = sizeof options;
  options.instance = instance;
  return chi_init(&options);
}

chi_status Open(chi_pool_id *pool) {
  return chi_pool_create(CHIMAERA_KV_MODULE, "edges", nullptr, 0, pool);
}

chi_status Put(const char *key) {
  chi_pool_id pool;
  chimaera_kv_put_task *put = nullptr;
  chi_status status = Open(&pool);
  if (status == CHI_OK) status = chimaera_kv_put_new(pool, kQuery, key, "v", 1, &put);
  if (status == CHI_OK) status = chi_submit(&put->task);
  if (status == CHI_OK) status = chi_wait(&put->task, CHI_WAIT_FOREVER);
  chi_task_delete(put == nullptr ? nullptr : &put->task);
  return status;
}

/* A task that is due again in an hour, and so in flight. */
chi_status Endless(chi_task **task) {
  chi_pool_id pool;
  chimaera_kv_count_task *count = nullptr;
  chi_status status = Open(&pool);
  if (status == CHI_OK) status = chimaera_kv_count_new(pool, kQuery, &count);
  if (status != CHI_OK) return status;
  count->task.task_flags_.bits_ |= CHI_TASK_PERIODIC;
  count->task.period_ns_ = kHour;
  *task = &count->task;
  return chi_submit(*task);
}

int Learn(const std::string &how) {
  chi_task *task = nullptr;
  chi_status status = Init(nullptr);
  if (status == CHI_OK) status = Endless(&task);
  if (status != CHI_OK) return Say(status);
  std::puts("ready");
  std::fflush(stdout);
  if (how == "parked") status = chi_wait(task, CHI_WAIT_FOREVER);
  if (how == "bounded") status = chi_wait(task, kHour);
  if (how == "polling") {
    do {
      status = chi_wait(task, 0);
    } while (status == CHI_TIMEOUT);
  }
  if (how == "asking") {
    while (!chi_is_complete(task)) {
    }
    status = chi_wait(task, 0);
  }
  if (how == "word") {
    while ((__atomic_load_n(&task->state_, __ATOMIC_ACQUIRE) & CHI_TASK_COMPLETE) == 0) {
    }
    status = task->status_;
  }
  return Say(status);
}

/* Puts its key when it is destroyed. */
struct Late {
  const char *key = nullptr;
  ~Late() {
    if (key != nullptr && Put(key) != CHI_OK) std::printf("%s: %s\n", key, chi_last_error());
  }
};

Late late_static;
thread_local Late late_thread;

int Exit(const std::string &how) {
  // Made before this thread first makes a task, it ends after what the client has of the thread.
  if (how == "thread_local") late_thread.key = "main's thread_local";
  const chi_status status = Init(nullptr);
  if (status != CHI_OK) return Say(status);
  if (how == "static") late_static.key = "static";
  if (how == "atexit") {
    std::atexit([] {
      if (Put("atexit") != CHI_OK) std::printf("atexit: %s\n", chi_last_error());
    });
  }
  if (how == "thread_local") {
    // More than there are rings: none may be lost with its thread.
    for (int i = 0; i < 100; ++i) {
      const std::string key = "thread_local " + std::to_string(i);
      std::thread([&key] {
        late_thread.key = key.c_str();
        Put("thread");
      }).join();
    }
  }
  if (how == "key") {
    static pthread_key_t key;
    pthread_key_create(&key, [](void *name) {
      if (Put(static_cast<const char *>(name)) != CHI_OK) std::printf("%s\n", chi_last_error());
    });
    std::thread([] {
      static char name[] = "key";
      pthread_setspecific(key, name);
      Put("thread");
    }).join();
  }
  return Say(Put("main"));
}

int Count() {
  chi_pool_id pool;
  chimaera_kv_count_task *count = nullptr;
  chi_status status = Init(nullptr);
  if (status == CHI_OK) status = Open(&pool);
  if (status == CHI_OK) status = chimaera_kv_count_new(pool, kQuery, &count);
  if (status == CHI_OK) status = chi_submit(&count->task);
  if (status == CHI_OK) status = chi_wait(&count->task, CHI_WAIT_FOREVER);
  if (status != CHI_OK) return Say(status);
  std::printf("%llu\n", static_cast<unsigned long long>(count->count_));
  return 0;
}

int Leave() {
  const chi_status status = Init(nullptr);
  if (status != CHI_OK) return Say(status);
  Say(Put("leave"));
  std::thread([] { std::this_thread::sleep_for(std::chrono::milliseconds(100)); }).detach();
  pthread_exit(nullptr);
}

int Signal() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGUSR1);
  const chi_status status = Init(nullptr);
  if (status != CHI_OK) return Say(status);
  // A thread that does not block it would end the process by it.
  pthread_sigmask(SIG_BLOCK, &set, nullptr);
  kill(getpid(), SIGUSR1);
  const timespec bound = {60, 0};
  return sigtimedwait(&set, nullptr, &bound) == SIGUSR1 ? Say(Put("signal")) : 1;
}

int Fork(const std::string &when) {
  if (when == "failed") Say(Init("nobody-there"));
  if (when == "shutdown") {
    Say(Init(nullptr));
    Say(Put("parent"));
    chi_shutdown();
  }
  const pid_t child = fork();
  if (child == 0) {
    chi_status status = Init(nullptr);
    if (status == CHI_OK) status = Put("child");
    Say(status);
    chi_shutdown();
    std::exit(status == CHI_OK ? 0 : 1);
  }
  int ended = 0;
  waitpid(child, &ended, 0);
  if (ended != 0) return 1;
  const chi_status status = Init(nullptr);
  return Say(status == CHI_OK ? Put("again") : status);
}

int Descriptors(int left) {
  const rlimit limit = {64, 64};
  setrlimit(RLIMIT_NOFILE, &limit);
  int last = -1;
  for (int fd = open("/dev/null", O_RDONLY); fd >= 0; fd = open("/dev/null", O_RDONLY)) last = fd;
  for (int i = 0; i < left; ++i) close(last - i);
  return Say(Init(nullptr));
}

int Interrupted(int milliseconds) {
  if (milliseconds > 0) {
    struct sigaction action = {};
    action.sa_handler = [](int) {};
    sigaction(SIGALRM, &action, nullptr);
    const timeval each = {0, milliseconds * 1000};
    const itimerval timer = {each, each};
    setitimer(ITIMER_REAL, &timer, nullptr);
  }
  return Say(Init(nullptr));
}

int Deadline(uint64_t milliseconds, uint64_t yields) {
  struct Yielding {
    chi_task task;
    uint64_t times;
  };
  chi_pool_id pool;
  chi_task *task = nullptr;
  chi_status status = Init(nullptr);
  if (status == CHI_OK) {
    status = chi_pool_create("test:throws_method", "test_throws", nullptr, 0, &pool);
  }
  if (status == CHI_OK) {
    status =
        chi_task_new(sizeof(Yielding), pool, kQuery, test::throws_method::Method::kYield, &task);
  }
  if (status != CHI_OK) return Say(status);
  reinterpret_cast<Yielding *>(task)->times = yields;
  task->task_flags_.bits_ |= CHI_TASK_DEADLINE;
  task->period_ns_ = milliseconds * 1000 * 1000;
  status = chi_submit(task);
  return Say(status == CHI_OK ? chi_wait(task, CHI_WAIT_FOREVER) : status);
}

int Crowd() {
  constexpr int kThreads = 80;
  chi_pool_id pool;
  chi_status status = Init(nullptr);
  if (status == CHI_OK) status = Open(&pool);
  if (status != CHI_OK) return Say(status);
  std::atomic<int> arrived{0};
  std::atomic<int> refused{0};
  std::atomic<int> served{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < kThreads; ++i) {
    threads.emplace_back([&] {
      chimaera_kv_count_task *count = nullptr;
      if (chimaera_kv_count_new(pool, kQuery, &count) == CHI_OK) {
        if (chi_submit(&count->task) == CHI_OK) {
          ++served;
        } else if (chi_wait(&count->task, kHour) == CHI_INVALID) {
          ++refused;
        }
      }
      ++arrived;
      // Nobody gives his ring back before all have asked for one.
      while (arrived < kThreads) std::this_thread::yield();
      chi_task_delete(count == nullptr ? nullptr : &count->task);
    });
  }
  for (std::thread &thread : threads) thread.join();
  return Say(refused > 0 && refused + served == kThreads ? CHI_OK : CHI_INTERNAL);
}

int Reconnect() {
  chi_task *task = nullptr;
  chi_status status = Init(nullptr);
  // Another thread's, so that this one has to look for its session.
  if (status == CHI_OK) std::thread([&] { status = Endless(&task); }).join();
  if (status != CHI_OK) return Say(status);
  std::puts("ready");
  std::fflush(stdout);
  char line[16];
  if (std::fgets(line, sizeof line, stdin) == nullptr) return 1;
  std::atomic<bool> connecting{false};
  std::atomic<bool> over{false};
  std::thread connects([&] {
    connecting = true;
    Put("again");
    over = true;
  });
  while (!connecting) std::this_thread::yield();
  std::this_thread::sleep_for(std::chrono::milliseconds(200));
  status = chi_wait(task, 1000 * 1000);
  const bool first = !over;
  connects.join();
  std::puts(first ? "first" : "late");
  return Say(status);
}

template <typename TaskT>
void CallDeclared(const char *what) {
  const chi::PoolId pool = CHI_IPC_MANAGER->CreatePool("example:mod_name", "edges");
  const chi::OwnedTask<TaskT> task(CHI_IPC_MANAGER->NewTask<TaskT>(HSHM_MCTX, pool));
  CHI_IPC_MANAGER->Enqueue(task.get());
  task.get()->Wait();
  std::printf("%s: %s %s\n", what, chi_status_name(task.get()->GetStatus()),
              task.get()->GetMessage().c_str());
}

/* Says what becomes of tasks that are as large as the module's, but declared in other ways. */
int Declared() {
  if (const chi_status status = Init(nullptr); status != CHI_OK) return Say(status);
  CallDeclared<DeclaredTask<chi::i32, char>>("same");
  CallDeclared<DeclaredTask<chi::f32, char>>("another number");
  CallDeclared<DeclaredTask<chi::i32, chi::u32>>("another element");
  return 0;
}

}  // namespace

int main(int argc, char **argv) {
  const std::string command = argc > 1 ? argv[1] : "";
  const std::string argument = argc > 2 ? argv[2] : "";
  const int number = std::atoi(argument.c_str());
  if (command == "learn") return Learn(argument);
  if (command == "exit") return Exit(argument);
  if (command == "count") return Count();
  if (command == "declared") return Declared();
  if (command == "leave") return Leave();
  if (command == "signal") return Signal();
  if (command == "fork") return Fork(argument);
  if (command == "descriptors") return Descriptors(number);
  if (command == "init") return Interrupted(number);
  if (command == "deadline") {
    return Deadline(static_cast<uint64_t>(number), std::strtoull(argv[3], nullptr, 10));
  }
  if (command == "crowd") return Crowd();
  if (command == "reconnect") return Reconnect();
  return 2;
}
