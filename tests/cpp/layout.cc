/* The layout of every shared struct in C++: prints one JSON line per field, and fails where the C++
 * layer and the C contract disagree. */
#include <cstddef>
#include <cstdio>
#include <memory>
#include <new>

#include "kv/kv_c.h"
#include "kv/kv_client.h"
#include "mod_name/mod_name_c.h"
#include "mod_name/mod_name_tasks.h"

namespace {

int g_failures = 0;

void Print(const char *type, const char *field, std::size_t offset, std::size_t size) {
  std::printf("{\"struct\":\"%s\",\"field\":\"%s\",\"offset\":%zu,\"size\":%zu}\n", type, field,
              offset, size);
}

void Expect(const char *what, std::size_t cpp, std::size_t c) {
  if (cpp == c) return;
  std::fprintf(stderr, "%s: %zu in C++, %zu in C\n", what, cpp, c);
  ++g_failures;
}

/* A task, created in zeroed memory. */
template <typename T>
class Made {
 public:
  Made() {
    const chi_task header{};
    auto *task = reinterpret_cast<chi_task *>(bytes_);
    task_ = ::new (bytes_) T(hipc::CtxAllocator<CHI_ALLOC_T>(task, sizeof(T), header));
  }
  template <typename F>
  std::size_t OffsetOf(F T::*field) const {
    return static_cast<std::size_t>(reinterpret_cast<const unsigned char *>(&(task_->*field)) -
                                    bytes_);
  }

 private:
  alignas(64) unsigned char bytes_[sizeof(T)] = {};
  T *task_;
};

}  // namespace

#define STRUCT(TYPE) Print(#TYPE, "", 0, sizeof(TYPE))
#define FIELD(TYPE, NAME) Print(#TYPE, #NAME, offsetof(TYPE, NAME), sizeof(TYPE::NAME))
#define SAME_SIZE(CPP, TYPE) Expect("sizeof(" #CPP ")", sizeof(CPP), sizeof(TYPE))
/* Checks that a field of a C++ task has the same offset and size as in C. */
#define SAME(CPP, TYPE, NAME)                                                      \
  Expect(#CPP "::" #NAME, Made<CPP>().OffsetOf(&CPP::NAME), offsetof(TYPE, NAME)), \
      Expect("sizeof(" #CPP "::" #NAME ")", sizeof(CPP::NAME), sizeof(TYPE::NAME))

static void PrintTasks() {
  STRUCT(chi_pool_id);
  FIELD(chi_pool_id, major_);
  FIELD(chi_pool_id, minor_);
  STRUCT(chi_task_node);
  FIELD(chi_task_node, root_);
  FIELD(chi_task_node, depth_);
  FIELD(chi_task_node, node_);
  STRUCT(chi_domain_query);
  FIELD(chi_domain_query, kind_);
  FIELD(chi_domain_query, value_);
  STRUCT(chi_bitfield);
  FIELD(chi_bitfield, bits_);
  STRUCT(chi_task);
  FIELD(chi_task, pool_);
  FIELD(chi_task, task_node_);
  FIELD(chi_task, dom_query_);
  FIELD(chi_task, method_);
  FIELD(chi_task, task_flags_);
  FIELD(chi_task, period_ns_);
  FIELD(chi_task, message_);
  FIELD(chi_task, status_);
  FIELD(chi_task, state_);
  STRUCT(chi_buffer);
  FIELD(chi_buffer, shm_);
  FIELD(chi_buffer, data_);
  FIELD(chi_buffer, size_);
  STRUCT(chi_shm_vector);
  FIELD(chi_shm_vector, shm_);
  FIELD(chi_shm_vector, data_);
  FIELD(chi_shm_vector, size_);
  FIELD(chi_shm_vector, capacity_);
  FIELD(chi_shm_vector, offset_in_task_);
  FIELD(chi_shm_vector, reserved_);
  STRUCT(chi_shm_string);
  FIELD(chi_shm_string, bytes_);
  STRUCT(chi_create_task);
  FIELD(chi_create_task, task);
  FIELD(chi_create_task, module_name_);
  FIELD(chi_create_task, pool_name_);
  FIELD(chi_create_task, params_);
  FIELD(chi_create_task, pool_id_);
  FIELD(chi_create_task, existed_);
  FIELD(chi_create_task, containers_);
  STRUCT(chi_grant);
  FIELD(chi_grant, right_);
  FIELD(chi_grant, is_group_);
  FIELD(chi_grant, number_);
  STRUCT(chi_create_with_task);
  FIELD(chi_create_with_task, create);
  FIELD(chi_create_with_task, flags_);
  FIELD(chi_create_with_task, nodes_);
  FIELD(chi_create_with_task, grants_);
  STRUCT(chi_pool_options);
  FIELD(chi_pool_options, size);
  FIELD(chi_pool_options, containers);
  STRUCT(chi_destroy_task);
  FIELD(chi_destroy_task, task);
  FIELD(chi_destroy_task, pool_id_);
  STRUCT(chi_find_task);
  FIELD(chi_find_task, task);
  FIELD(chi_find_task, pool_name_);
  FIELD(chi_find_task, pool_id_);
  STRUCT(chi_describe_task);
  FIELD(chi_describe_task, task);
  FIELD(chi_describe_task, subject_);
  FIELD(chi_describe_task, reserved_);
  FIELD(chi_describe_task, json_);
}

static void PrintTables() {
  STRUCT(chi_client_options);
  FIELD(chi_client_options, size);
  FIELD(chi_client_options, reserved);
  FIELD(chi_client_options, instance);
  FIELD(chi_client_options, segment_size);
  FIELD(chi_client_options, connect_timeout_ns);
  STRUCT(chi_completion);
  FIELD(chi_completion, done);
  FIELD(chi_completion, argument);
  STRUCT(chi_ipc);
  FIELD(chi_ipc, size);
  FIELD(chi_ipc, reserved);
  FIELD(chi_ipc, new_task);
  FIELD(chi_ipc, del_task);
  FIELD(chi_ipc, enqueue);
  FIELD(chi_ipc, try_enqueue);
  FIELD(chi_ipc, wait);
  FIELD(chi_ipc, task_message);
  FIELD(chi_ipc, alloc);
  FIELD(chi_ipc, free);
  FIELD(chi_ipc, resolve);
  FIELD(chi_ipc, make_task_node);
  FIELD(chi_ipc, create_pool);
  FIELD(chi_ipc, find_pool);
  FIELD(chi_ipc, destroy_pool);
  FIELD(chi_ipc, last_error);
  FIELD(chi_ipc, alloc_elements);
  FIELD(chi_ipc, create_pool_with);
  FIELD(chi_ipc, enqueue_batch);
  FIELD(chi_ipc, wait_all);
  FIELD(chi_ipc, cancel);
  FIELD(chi_ipc, sleep);
  FIELD(chi_ipc, yield_now);
  FIELD(chi_ipc, wait_any);
  FIELD(chi_ipc, completions_new);
  FIELD(chi_ipc, completions_del);
  FIELD(chi_ipc, completions_descriptor);
  FIELD(chi_ipc, completions_add);
  FIELD(chi_ipc, completions_remove);
  FIELD(chi_ipc, completions_next);
  STRUCT(chi_completed);
  FIELD(chi_completed, task);
  FIELD(chi_completed, argument);
  STRUCT(chi_host);
  FIELD(chi_host, size);
  FIELD(chi_host, abi_major);
  FIELD(chi_host, abi_minor);
  FIELD(chi_host, reserved);
  FIELD(chi_host, set_error);
  FIELD(chi_host, log);
  FIELD(chi_host, ipc);
  FIELD(chi_host, create_queue);
  FIELD(chi_host, yield_now);
  FIELD(chi_host, extension);
  FIELD(chi_host, container_id);
  FIELD(chi_host, lock_new);
  FIELD(chi_host, lock_free);
  FIELD(chi_host, lock);
  FIELD(chi_host, try_lock);
  FIELD(chi_host, unlock);
  FIELD(chi_host, is_cancelled);
  FIELD(chi_host, event_new);
  FIELD(chi_host, event_free);
  FIELD(chi_host, event_wait);
  FIELD(chi_host, event_set);
  FIELD(chi_host, poller_add);
  FIELD(chi_host, poller_remove);
  FIELD(chi_host, poller_arm);
  STRUCT(chi_locks);
  FIELD(chi_locks, size);
  FIELD(chi_locks, reserved);
  FIELD(chi_locks, create);
  FIELD(chi_locks, free);
  FIELD(chi_locks, lock);
  FIELD(chi_locks, try_lock);
  FIELD(chi_locks, unlock);
  STRUCT(chi_clients);
  FIELD(chi_clients, size);
  FIELD(chi_clients, reserved);
  FIELD(chi_clients, sender);
  FIELD(chi_clients, is_there);
  STRUCT(chi_directory);
  FIELD(chi_directory, size);
  FIELD(chi_directory, reserved);
  FIELD(chi_directory, path);
  STRUCT(chi_place);
  FIELD(chi_place, node_);
  FIELD(chi_place, tasks_);
  FIELD(chi_place, round_trip_ns_);
  STRUCT(chi_places);
  FIELD(chi_places, size);
  FIELD(chi_places, reserved);
  FIELD(chi_places, find);
  STRUCT(chi_published_block);
  FIELD(chi_published_block, reference_);
  FIELD(chi_published_block, data_);
  FIELD(chi_published_block, size_);
  STRUCT(chi_publishing);
  FIELD(chi_publishing, size);
  FIELD(chi_publishing, reserved);
  FIELD(chi_publishing, alloc);
  FIELD(chi_publishing, retain);
  FIELD(chi_publishing, release);
  FIELD(chi_publishing, lend);
  STRUCT(chi_storage);
  FIELD(chi_storage, size);
  FIELD(chi_storage, reserved);
  FIELD(chi_storage, set_local);
  STRUCT(chi_events);
  FIELD(chi_events, size);
  FIELD(chi_events, reserved);
  FIELD(chi_events, create);
  FIELD(chi_events, free);
  FIELD(chi_events, wait);
  FIELD(chi_events, set);
  STRUCT(chi_pollers);
  FIELD(chi_pollers, size);
  FIELD(chi_pollers, reserved);
  FIELD(chi_pollers, add);
  FIELD(chi_pollers, remove);
  FIELD(chi_pollers, arm);
}

static void PrintModuleContract() {
  STRUCT(chi_field_layout);
  FIELD(chi_field_layout, offset_);
  FIELD(chi_field_layout, kind_);
  FIELD(chi_field_layout, elem_size_);
  FIELD(chi_field_layout, elem_align_);
  FIELD(chi_field_layout, elem_fields_);
  FIELD(chi_field_layout, n_elem_fields_);
  FIELD(chi_field_layout, reserved_);
  STRUCT(chi_method);
  FIELD(chi_method, number_);
  FIELD(chi_method, flags_);
  FIELD(chi_method, name_);
  FIELD(chi_method, task_size_);
  FIELD(chi_method, n_fields_);
  FIELD(chi_method, fields_);
  STRUCT(chi_module_descriptor);
  FIELD(chi_module_descriptor, magic);
  FIELD(chi_module_descriptor, size);
  FIELD(chi_module_descriptor, abi_major);
  FIELD(chi_module_descriptor, abi_minor);
  FIELD(chi_module_descriptor, language);
  FIELD(chi_module_descriptor, sdk_version);
  FIELD(chi_module_descriptor, name);
  FIELD(chi_module_descriptor, version);
  FIELD(chi_module_descriptor, n_methods);
  FIELD(chi_module_descriptor, method_stride);
  FIELD(chi_module_descriptor, methods);
  FIELD(chi_module_descriptor, field_stride);
  FIELD(chi_module_descriptor, reserved);
  FIELD(chi_module_descriptor, params);
  FIELD(chi_module_descriptor, pools);
  FIELD(chi_module_descriptor, description);
  STRUCT(chi_run_context);
  FIELD(chi_run_context, size);
  FIELD(chi_run_context, worker_id_);
  FIELD(chi_run_context, lane_);
  FIELD(chi_run_context, runtime_);
  FIELD(chi_run_context, est_ns_);
  STRUCT(chi_container);
  FIELD(chi_container, ops);
  STRUCT(chi_container_ops);
  FIELD(chi_container_ops, size);
  FIELD(chi_container_ops, reserved);
  FIELD(chi_container_ops, init);
  FIELD(chi_container_ops, run);
  FIELD(chi_container_ops, monitor);
  FIELD(chi_container_ops, del);
  FIELD(chi_container_ops, destroy);
  FIELD(chi_container_ops, aggregate);
  FIELD(chi_container_ops, serialize);
  FIELD(chi_container_ops, save);
  FIELD(chi_container_ops, load);
  FIELD(chi_container_ops, resume);
  STRUCT(chi_state);
  FIELD(chi_state, size);
  FIELD(chi_state, purpose);
  FIELD(chi_state, archive);
  FIELD(chi_state, begin_field);
  FIELD(chi_state, next_field);
  STRUCT(chi_life_task);
  FIELD(chi_life_task, task);
  FIELD(chi_life_task, reason_);
  FIELD(chi_life_task, reserved_);
  FIELD(chi_life_task, message_text_);
  FIELD(chi_life_task, old_version_);
  FIELD(chi_life_task, directory_);
  FIELD(chi_life_task, lost_pool_);
  FIELD(chi_life_task, lost_name_);
  FIELD(chi_life_task, lost_node_);
  FIELD(chi_life_task, lost_containers_);
  FIELD(chi_life_task, lost_count_);
  FIELD(chi_life_task, reserved2_);
  STRUCT(chi_archive);
  FIELD(chi_archive, size);
  FIELD(chi_archive, reserved);
  FIELD(chi_archive, write);
  FIELD(chi_archive, read);
  FIELD(chi_archive, remaining);
}

static void PrintModules() {
  STRUCT(example_mod_name_compress_task);
  FIELD(example_mod_name_compress_task, level_);
  FIELD(example_mod_name_compress_task, data_);
  FIELD(example_mod_name_compress_task, output_);
  STRUCT(example_mod_name_decompress_task);
  FIELD(example_mod_name_decompress_task, max_size_);
  FIELD(example_mod_name_decompress_task, data_);
  FIELD(example_mod_name_decompress_task, output_);
  STRUCT(chimaera_kv_put_task);
  FIELD(chimaera_kv_put_task, key_);
  FIELD(chimaera_kv_put_task, value_);
  FIELD(chimaera_kv_put_task, replaced_);
  STRUCT(chimaera_kv_get_task);
  FIELD(chimaera_kv_get_task, key_);
  FIELD(chimaera_kv_get_task, value_);
  STRUCT(chimaera_kv_delete_task);
  FIELD(chimaera_kv_delete_task, key_);
  FIELD(chimaera_kv_delete_task, existed_);
  STRUCT(chimaera_kv_scan_task);
  FIELD(chimaera_kv_scan_task, prefix_);
  FIELD(chimaera_kv_scan_task, limit_);
  FIELD(chimaera_kv_scan_task, keys_);
  STRUCT(chimaera_kv_count_task);
  FIELD(chimaera_kv_count_task, count_);
  STRUCT(chimaera_kv_flush_task);
  STRUCT(chimaera_kv_stats_task);
  FIELD(chimaera_kv_stats_task, stats_);
  STRUCT(chimaera_kv_stats);
  FIELD(chimaera_kv_stats, keys_);
  FIELD(chimaera_kv_stats, bytes_);
  FIELD(chimaera_kv_stats, max_bytes_);
  FIELD(chimaera_kv_stats, file_bytes_);
  FIELD(chimaera_kv_stats, compacted_bytes_);
  FIELD(chimaera_kv_stats, commits_);
  FIELD(chimaera_kv_stats, syncs_);
  FIELD(chimaera_kv_stats, compactions_);
  FIELD(chimaera_kv_stats, lost_);
  STRUCT(chimaera_kv_compact_task);
  FIELD(chimaera_kv_compact_task, bytes_);
}

static void CompareTasks() {
  SAME_SIZE(chi::CreateTask, chi_create_task);
  SAME(chi::CreateTask, chi_create_task, module_name_);
  SAME(chi::CreateTask, chi_create_task, pool_name_);
  SAME(chi::CreateTask, chi_create_task, params_);
  SAME(chi::CreateTask, chi_create_task, pool_id_);
  SAME(chi::CreateTask, chi_create_task, existed_);
  SAME(chi::CreateTask, chi_create_task, containers_);
  SAME_SIZE(chi::DestroyTask, chi_destroy_task);
  SAME(chi::DestroyTask, chi_destroy_task, pool_id_);
  SAME_SIZE(example::mod_name::CompressTask, example_mod_name_compress_task);
  SAME(example::mod_name::CompressTask, example_mod_name_compress_task, level_);
  SAME(example::mod_name::CompressTask, example_mod_name_compress_task, data_);
  SAME(example::mod_name::CompressTask, example_mod_name_compress_task, output_);
  SAME_SIZE(example::mod_name::DecompressTask, example_mod_name_decompress_task);
  SAME(example::mod_name::DecompressTask, example_mod_name_decompress_task, max_size_);
  SAME(example::mod_name::DecompressTask, example_mod_name_decompress_task, data_);
  SAME(example::mod_name::DecompressTask, example_mod_name_decompress_task, output_);
  SAME_SIZE(chimaera::kv::PutTask, chimaera_kv_put_task);
  SAME(chimaera::kv::PutTask, chimaera_kv_put_task, key_);
  SAME(chimaera::kv::PutTask, chimaera_kv_put_task, value_);
  SAME(chimaera::kv::PutTask, chimaera_kv_put_task, replaced_);
  SAME_SIZE(chimaera::kv::GetTask, chimaera_kv_get_task);
  SAME(chimaera::kv::GetTask, chimaera_kv_get_task, key_);
  SAME(chimaera::kv::GetTask, chimaera_kv_get_task, value_);
  SAME_SIZE(chimaera::kv::DeleteTask, chimaera_kv_delete_task);
  SAME(chimaera::kv::DeleteTask, chimaera_kv_delete_task, key_);
  SAME(chimaera::kv::DeleteTask, chimaera_kv_delete_task, existed_);
  SAME_SIZE(chimaera::kv::ScanTask, chimaera_kv_scan_task);
  SAME(chimaera::kv::ScanTask, chimaera_kv_scan_task, prefix_);
  SAME(chimaera::kv::ScanTask, chimaera_kv_scan_task, limit_);
  SAME(chimaera::kv::ScanTask, chimaera_kv_scan_task, keys_);
  SAME_SIZE(chimaera::kv::CountTask, chimaera_kv_count_task);
  SAME(chimaera::kv::CountTask, chimaera_kv_count_task, count_);
  SAME_SIZE(chimaera::kv::FlushTask, chimaera_kv_flush_task);
  SAME_SIZE(chimaera::kv::StatsTask, chimaera_kv_stats_task);
  SAME(chimaera::kv::StatsTask, chimaera_kv_stats_task, stats_);
}

int main() {
  PrintTasks();
  PrintTables();
  PrintModuleContract();
  PrintModules();
  CompareTasks();
  return g_failures == 0 ? 0 : 1;
}
