/*
 * core.h -- for modules: everything in core they may use.
 */

#ifndef VEIL_CORE_CORE_H
#define VEIL_CORE_CORE_H

#include "core/platform.h"

#include "core/array.h"
#include "core/assert.h"
#include "core/block.h"
#include "core/buf.h"
#include "core/conf.h"
#include "core/cycle.h"
#include "core/hash.h"
#include "core/inet.h"
#include "core/list.h"
#include "core/lock.h"
#include "core/log.h"
#include "core/module.h"
#include "core/murmur.h"
#include "core/pool.h"
#include "core/radix.h"
#include "core/rand.h"
#include "core/regex.h"
#include "core/shm.h"
#include "core/slab.h"
#include "core/str.h"
#include "core/syslog.h"
#include "core/time.h"
#include "core/trace.h"
#include "core/types.h"

#endif
