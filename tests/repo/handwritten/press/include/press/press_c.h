/* The tasks of written:press for C. */
#ifndef WRITTEN_PRESS_C_H_
#define WRITTEN_PRESS_C_H_

#include "chimaera/abi.h"

#define WRITTEN_PRESS_MODULE "written:press"
#define WRITTEN_PRESS_TURN 10
#define WRITTEN_PRESS_FAIL 11
#define WRITTEN_PRESS_RELAY 12

typedef struct written_press_extent {
  uint64_t start_;
  uint32_t blocks_;
  uint32_t reserved_;
} written_press_extent;

typedef struct written_press_entry {
  chi_shm_string name_;
  written_press_extent extent_;
  chi_shm_vector weights_;
} written_press_entry;

typedef struct written_press_turn_task {
  chi_task task;
  chi_shm_string text_;
  chi_shm_vector words_;
  chi_shm_vector extents_;
  written_press_entry entry_;
  chi_shm_vector entries_;
  uint64_t total_;
} written_press_turn_task;

typedef struct written_press_fail_task {
  chi_task task;
  uint32_t thrown_;
  uint32_t reserved_;
  chi_shm_string why_;
} written_press_fail_task;

typedef struct written_press_relay_task {
  chi_task task;
  chi_shm_string store_;
  chi_shm_string text_;
  uint32_t width_;
  uint32_t reserved_;
  chi_shm_string why_;
  chi_shm_vector answers_;
} written_press_relay_task;

#endif  // WRITTEN_PRESS_C_H_
