// The one door to libfuse: the version of its interface that this folder speaks.
#pragma once

#define FUSE_USE_VERSION 314
#include <fuse3/fuse_lowlevel.h>
