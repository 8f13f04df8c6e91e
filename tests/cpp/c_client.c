/* A client in C, driven by the whole-system tests:
 *
 *     c_client [--instance NAME] COMMAND [ARGUMENT...] [-- COMMAND [ARGUMENT...]]...
 *
 * It has the commands of cpp_client that need no test module, prints the same lines, and uses the
 * same pools. */
#include <stdlib.h>
#include <string.h>

#include "json.h"
#include "kv/kv_c.h"
#include "mod_name/mod_name_c.h"

static const chi_domain_query kQuery = {CHI_DOMAIN_DYNAMIC, 0};

/* Prints a line without its end; the message is the library's. */
static void PrintStatus(const char *command, chi_status status) {
  const char *message = status == CHI_OK ? "" : chi_last_error();
  printf("{\"command\":\"%s\",\"status\":%d,\"name\":\"%s\",", command, (int)status,
         chi_status_name(status));
  json_string("message", message, strlen(message));
}

static void PrintEnd(void) {
  printf("}\n");
  fflush(stdout);
}

static void PrintOnly(const char *command, chi_status status) {
  PrintStatus(command, status);
  PrintEnd();
}

/* Submits a task and waits for it. */
static chi_status Run(chi_task *task) {
  chi_status status = chi_submit(task);
  return status == CHI_OK ? chi_wait(task, CHI_WAIT_FOREVER) : status;
}

/* Bytes that compress, but not to nothing; the caller frees them. Ends the program without memory.
 */
static char *MakeBytes(uint64_t size) {
  char *bytes = malloc(size == 0 ? 1 : size);
  if (bytes == NULL) {
    fprintf(stderr, "no memory for %llu bytes\n", (unsigned long long)size);
    exit(1);
  }
  for (uint64_t i = 0; i < size; ++i) bytes[i] = (char)((i * i) >> 9);
  return bytes;
}

static void Roundtrip(chi_pool_id pool, uint64_t size) {
  char *bytes = MakeBytes(size);
  example_mod_name_compress_task *compress = NULL;
  example_mod_name_decompress_task *decompress = NULL;
  chi_status status = example_mod_name_compress_new(pool, kQuery, bytes, size, 0, &compress);
  if (status == CHI_OK) status = Run(&compress->task);
  if (status == CHI_OK) {
    status = example_mod_name_decompress_new(pool, kQuery, compress->output_.data_,
                                             compress->output_.size_, size, &decompress);
  }
  if (status == CHI_OK) status = Run(&decompress->task);
  PrintStatus("roundtrip", status);
  if (status == CHI_OK) {
    const int equal = decompress->output_.size_ == size &&
                      (size == 0 || memcmp(decompress->output_.data_, bytes, size) == 0);
    printf(",\"bytes\":%llu,\"compressed\":%llu,\"equal\":%d", (unsigned long long)size,
           (unsigned long long)compress->output_.size_, equal);
  }
  PrintEnd();
  if (decompress != NULL) chi_task_delete(&decompress->task);
  if (compress != NULL) chi_task_delete(&compress->task);
  free(bytes);
}

static void Corrupt(chi_pool_id pool) {
  static const char kText[] = "this is no zstd frame";
  example_mod_name_decompress_task *task = NULL;
  chi_status status =
      example_mod_name_decompress_new(pool, kQuery, kText, sizeof(kText) - 1, 1000, &task);
  if (status == CHI_OK) status = Run(&task->task);
  PrintOnly("corrupt", status);
  if (task != NULL) chi_task_delete(&task->task);
}

static void SendPlain(const char *command, chi_pool_id pool, uint32_t method) {
  chi_task *task = NULL;
  chi_status status = chi_task_new(sizeof(chi_task), pool, kQuery, method, &task);
  if (status == CHI_OK) status = Run(task);
  PrintOnly(command, status);
  chi_task_delete(task);
}

static void Put(const char *command, chi_pool_id pool, const char *key, const char *value,
                uint64_t size) {
  chimaera_kv_put_task *task = NULL;
  chi_status status = chimaera_kv_put_new(pool, kQuery, key, value, size, &task);
  if (status == CHI_OK) status = Run(&task->task);
  PrintStatus(command, status);
  if (status == CHI_OK) printf(",\"replaced\":%u", task->replaced_);
  PrintEnd();
  if (task != NULL) chi_task_delete(&task->task);
}

/* Puts so many made bytes. */
static void Fill(chi_pool_id pool, const char *key, uint64_t size) {
  char *bytes = MakeBytes(size);
  Put("fill", pool, key, bytes, size);
  free(bytes);
}

/* Gets a value and compares it with so many made bytes. */
static void Check(chi_pool_id pool, const char *key, uint64_t size) {
  char *bytes = MakeBytes(size);
  chimaera_kv_get_task *task = NULL;
  chi_status status = chimaera_kv_get_new(pool, kQuery, key, &task);
  if (status == CHI_OK) status = Run(&task->task);
  PrintStatus("check", status);
  if (status == CHI_OK) {
    const int equal =
        task->value_.size_ == size && (size == 0 || memcmp(task->value_.data_, bytes, size) == 0);
    printf(",\"equal\":%d", equal);
  }
  PrintEnd();
  if (task != NULL) chi_task_delete(&task->task);
  free(bytes);
}

static void Get(chi_pool_id pool, const char *key) {
  chimaera_kv_get_task *task = NULL;
  chi_status status = chimaera_kv_get_new(pool, kQuery, key, &task);
  if (status == CHI_OK) status = Run(&task->task);
  PrintStatus("get", status);
  if (status == CHI_OK) {
    printf(",");
    json_string("value", task->value_.data_, task->value_.size_);
  }
  PrintEnd();
  if (task != NULL) chi_task_delete(&task->task);
}

static void Delete(chi_pool_id pool, const char *key) {
  chimaera_kv_delete_task *task = NULL;
  chi_status status = chimaera_kv_delete_new(pool, kQuery, key, &task);
  if (status == CHI_OK) status = Run(&task->task);
  PrintStatus("delete", status);
  if (status == CHI_OK) printf(",\"existed\":%u", task->existed_);
  PrintEnd();
  if (task != NULL) chi_task_delete(&task->task);
}

static void Scan(chi_pool_id pool, const char *prefix, uint64_t limit) {
  chimaera_kv_scan_task *task = NULL;
  chi_status status = chimaera_kv_scan_new(pool, kQuery, prefix, limit, &task);
  if (status == CHI_OK) status = Run(&task->task);
  PrintStatus("scan", status);
  if (status == CHI_OK) {
    const chi_shm_string *keys = task->keys_.data_;
    const uint64_t n = task->keys_.size_ / sizeof(chi_shm_string);
    printf(",\"keys\":[");
    for (uint64_t i = 0; i < n; ++i) {
      printf("%s", i == 0 ? "" : ",");
      json_text(keys[i].bytes_.data_, keys[i].bytes_.size_);
    }
    printf("]");
  }
  PrintEnd();
  if (task != NULL) chi_task_delete(&task->task);
}

static void Count(chi_pool_id pool) {
  chimaera_kv_count_task *task = NULL;
  chi_status status = chimaera_kv_count_new(pool, kQuery, &task);
  if (status == CHI_OK) status = Run(&task->task);
  PrintStatus("count", status);
  if (status == CHI_OK) printf(",\"count\":%llu", (unsigned long long)task->count_);
  PrintEnd();
  if (task != NULL) chi_task_delete(&task->task);
}

/* Creates or finds a test's pool. Prints the command's line when that fails. */
static bool Open(const char *command, const char *module, const char *name, chi_pool_id *pool) {
  const chi_status status = chi_pool_create(module, name, NULL, 0, pool);
  if (status != CHI_OK) PrintOnly(command, status);
  return status == CHI_OK;
}

/* Runs one command and prints its line. False when there is no such command. */
static bool RunCommand(int n, char **words) {
  const char *command = n > 0 ? words[0] : "";
  chi_pool_id pool = {60000, 60000};
  if (strcmp(command, "unknown-pool") == 0) return SendPlain(command, pool, 999), true;
  if (strcmp(command, "unknown-name") == 0) {
    return PrintOnly(command, chi_pool_find("nobody", &pool)), true;
  }
  if (strcmp(command, "no-module") == 0) {
    return PrintOnly(command, chi_pool_create("test:nothing", "test_none", NULL, 0, &pool)), true;
  }

  const bool roundtrip = strcmp(command, "roundtrip") == 0 && n == 2;
  const bool corrupt = strcmp(command, "corrupt") == 0;
  if (roundtrip || corrupt || strcmp(command, "unknown-method") == 0) {
    if (!Open(command, EXAMPLE_MOD_NAME_MODULE, "test_compress", &pool)) return true;
    if (roundtrip) return Roundtrip(pool, strtoull(words[1], NULL, 10)), true;
    if (corrupt) return Corrupt(pool), true;
    return SendPlain(command, pool, 999), true;
  }

  const bool put = strcmp(command, "put") == 0 && n == 3;
  const bool get = strcmp(command, "get") == 0 && n == 2;
  const bool fill = strcmp(command, "fill") == 0 && n == 3;
  const bool check = strcmp(command, "check") == 0 && n == 3;
  const bool del = strcmp(command, "delete") == 0 && n == 2;
  const bool scan = strcmp(command, "scan") == 0 && (n == 2 || n == 3);
  const bool count = strcmp(command, "count") == 0;
  if (!put && !get && !fill && !check && !del && !scan && !count) return false;
  if (!Open(command, CHIMAERA_KV_MODULE, "test_kv", &pool)) return true;
  if (put) return Put(command, pool, words[1], words[2], strlen(words[2])), true;
  if (get) return Get(pool, words[1]), true;
  if (fill) return Fill(pool, words[1], strtoull(words[2], NULL, 10)), true;
  if (check) return Check(pool, words[1], strtoull(words[2], NULL, 10)), true;
  if (del) return Delete(pool, words[1]), true;
  if (scan) return Scan(pool, words[1], n == 3 ? strtoull(words[2], NULL, 10) : 0), true;
  return Count(pool), true;
}

int main(int argc, char **argv) {
  chi_client_options options = {.size = sizeof(options)};
  int first = 1;
  if (argc > 2 && strcmp(argv[1], "--instance") == 0) {
    options.instance = argv[2];
    first = 3;
  }
  const chi_status status = chi_init(&options);
  if (status != CHI_OK) {
    PrintOnly("connect", status);
    return 1;
  }
  int result = 0;
  for (int last = first; result == 0 && first < argc; first = last + 1) {
    for (last = first; last < argc && strcmp(argv[last], "--") != 0;) ++last;
    if (!RunCommand(last - first, argv + first)) {
      fprintf(stderr, "%s: no such command, or not its arguments: %s\n", argv[0], argv[first]);
      result = 2;
    }
  }
  chi_shutdown();
  return result;
}
