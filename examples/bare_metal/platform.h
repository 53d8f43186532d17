/* What the driver needs of the machine it runs on. platform_zynq.c is for a board without an operating system. */
#ifndef PLATFORM_H
#define PLATFORM_H

#include <stddef.h>
#include <stdint.h>

/* A register of the accelerator, by byte offset. */
uint32_t platform_read_register(uint32_t offset);
void platform_write_register(uint32_t offset, uint32_t value);

/* Copy to DRAM so that the accelerator sees it, and from DRAM what the accelerator wrote. Addresses are physical. */
void platform_to_memory(uint64_t address, const void *data, size_t bytes);
void platform_from_memory(void *data, uint64_t address, size_t bytes);

#endif
