// clang-format off
/* The methods of chimaera:bdev. Generated from chimaera_mod.yaml; do not edit. */
#ifndef CHIMAERA_BDEV_METHODS_H_
#define CHIMAERA_BDEV_METHODS_H_

#include "chimaera/chimaera.h"

namespace chimaera::bdev {

/* Lets this module use Chimaera's names without their namespace; the module's own names take
 * precedence. */
using namespace chi::names;

/** The numbers of the methods that the module implements. */
class Method {
 public:
  CLS_CONST int kCreate = 0;
  CLS_CONST int kDestroy = 1;
  CLS_CONST int kRecover = 3;
  /** Allocates blocks. */
  CLS_CONST int kAllocate = 10;
  /** Frees blocks. */
  CLS_CONST int kFree = 11;
  /** Reads blocks. */
  CLS_CONST int kRead = 12;
  /** Writes blocks. */
  CLS_CONST int kWrite = 13;
  /** Makes completed writes, allocations and releases durable. */
  CLS_CONST int kFlush = 14;
  /** Gets the device's properties and counters. */
  CLS_CONST int kStats = 15;
  /** Adds blocks to a device in a file. */
  CLS_CONST int kGrow = 16;
  /** Frees the blocks of an owner. */
  CLS_CONST int kRelease = 17;
};

}  // namespace chimaera::bdev

#endif  // CHIMAERA_BDEV_METHODS_H_
