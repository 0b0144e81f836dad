// SPDX-License-Identifier: Apache-2.0
/*
 * What OpenIPMI's ipmi_sim lacks: Chassis Control 4, "pulse diagnostic interrupt" (IPMI 2.0, 28.3).
 * The stock simulator answers 0xCC. Here it becomes an NMI that the BMC sends to QEMU over the
 * channel that joins them (VM_CMD_SEND_NMI of QEMU's hw/ipmi/ipmi_bmc_extern.c). The handler takes
 * the place of the simulator's own, so it does the other values too; to power on, QEMU would have to
 * be started, which is the lab's business.
 *
 * The options are words: "lost" accepts the command and does nothing, as BMCs do shortly after a
 * reset; "reset" resets the machine instead, as some do.
 *
 * Preloaded, it also turns the BREAK of SOL, which ipmi_sim sends with tcsendbreak(3), into two bytes:
 * ipmi_sim's terminal is a pty here, and a pty has no break_ctl (drivers/tty/pty.c).
 */
#include <stdio.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>
#include <OpenIPMI/ipmi_err.h>
#include <OpenIPMI/ipmi_msgbits.h>
#include <OpenIPMI/lanserv.h>
#include <OpenIPMI/mcserv.h>

#define VM_CHANNEL 15

static sys_data_t *sys;
static int lost, reset;

static channel_t *vm(lmc_data_t *mc)
{
	channel_t *channel = sys->mc_get_channelset(mc)[VM_CHANNEL];

	return channel && channel->hw_op ? channel : NULL;
}

static void answer(unsigned char code, unsigned char *data, unsigned int *length)
{
	data[0] = code;
	*length = 1;
}

int tcsendbreak(int fd, int duration)
{
	(void)duration;
	return write(fd, "\xff\xf3", 2) == 2 ? 0 : -1;
}

/* Chassis Control: data[0] is 0 off, 1 on, 2 cycle, 3 hard reset, 4 diagnostic, 5 soft off. */
static void chassis_control(lmc_data_t *mc, msg_t *msg, unsigned char *data, unsigned int *length,
			    void *unused)
{
	channel_t *channel = vm(mc);
	unsigned int op;

	(void)unused;
	if (msg->len < 1) {
		answer(IPMI_REQUEST_DATA_LENGTH_INVALID_CC, data, length);
		return;
	}
	switch (msg->data[0] & 0xf) {
	case 0:
		op = HW_OP_POWEROFF;
		break;
	case 2: /* QEMU's power cycle is its reset */
	case 3:
		op = HW_OP_RESET;
		break;
	case 4:
		op = reset ? HW_OP_RESET : HW_OP_SEND_NMI;
		break;
	case 5:
		op = HW_OP_GRACEFUL_SHUTDOWN;
		break;
	default:
		answer(IPMI_INVALID_DATA_FIELD_CC, data, length);
		return;
	}
	if ((msg->data[0] & 0xf) == 4 && lost)
		answer(0, data, length);
	else if (channel && channel->hw_op(channel, HW_OP_CHECK_POWER) &&
		 channel->hw_op(channel, op) == 0)
		answer(0, data, length);
	else
		answer(IPMI_NOT_SUPPORTED_IN_PRESENT_STATE_CC, data, length);
}

int ipmi_sim_module_print_version(sys_data_t *data, char *options)
{
	(void)data;
	(void)options;
	puts("kautopsy diagnostic interrupt 1");
	return 0;
}

int ipmi_sim_module_init(sys_data_t *data, char *options)
{
	sys = data;
	lost = strstr(options, "lost") != NULL;
	reset = strstr(options, "reset") != NULL;
	return 0;
}

/* After the simulator has registered its own handler. */
int ipmi_sim_module_post_init(sys_data_t *data)
{
	(void)data;
	return ipmi_emu_register_cmd_handler(IPMI_CHASSIS_NETFN, IPMI_CHASSIS_CONTROL_CMD,
					     chassis_control, NULL);
}
