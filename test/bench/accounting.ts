/** What a process and all its descendants cost, as the kernel counts it: processor time and memory. Linux only. */
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";

export interface ProcessRecord {
  pid: number;
  /** The kernel's short name of the program, e.g. `workerd`. */
  name: string;
  parent: number;
  /** Seconds in user and kernel mode, with those of children that have ended. */
  cpu: number;
}

/** Per second; Linux has reported this unit to user space as 100 on every architecture for decades. */
const CLOCK_TICKS = 100;

/** A process and all its descendants, as they are now. */
export function processTree(root: number): ProcessRecord[] {
  const all = readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .flatMap((name) => readProcess(Number(name)) ?? []);
  const members = all.filter(({ pid }) => pid === root);
  for (const member of members) members.push(...all.filter(({ parent }) => parent === member.pid));
  return members;
}

/** Seconds of processor time that a process and its descendants have used so far. */
export function cpuSeconds(root: number): number {
  return processTree(root).reduce((sum, { cpu }) => sum + cpu, 0);
}

/** proc_pid_stat(5). The name is in parentheses and may itself contain spaces and parentheses. */
function readProcess(pid: number): ProcessRecord | null {
  let text: string;
  try {
    text = readFileSync(`/proc/${pid}/stat`, "utf8");
  } catch {
    return null;
  }
  const close = text.lastIndexOf(")");
  const fields = text.slice(close + 2).split(" ");
  const [, parent, , , , , , , , , , user, system, childrenUser, childrenSystem] = fields.map(Number);
  const ticks = (user ?? 0) + (system ?? 0) + (childrenUser ?? 0) + (childrenSystem ?? 0);
  return {
    pid,
    name: text.slice(text.indexOf("(") + 1, close),
    parent: parent ?? 0,
    cpu: ticks / CLOCK_TICKS,
  };
}

export interface Memory {
  /** Bytes resident now. */
  resident: number;
  /** The most bytes that were resident since the start or `forgetPeak`. */
  peak: number;
}

/** The memory of one process. */
export function memoryOf(pid: number): Memory {
  const status = readFileSync(`/proc/${pid}/status`, "utf8");
  const bytes = (name: string): number =>
    Number(new RegExp(`${name}:\\s+(\\d+) kB`).exec(status)?.[1] ?? 0) * 1024;
  return { resident: bytes("VmRSS"), peak: bytes("VmHWM") };
}

/** Resets the peak to what is resident now (proc_pid_clear_refs(5)). */
export function forgetPeak(pid: number): void {
  writeFileSync(`/proc/${pid}/clear_refs`, "5");
}

/** Waits until a process tree is idle, so that work after its response is counted too. */
export async function untilIdle(root: number): Promise<void> {
  const deadline = Date.now() + 15_000;
  let before = cpuSeconds(root);
  while (Date.now() < deadline) {
    await sleep(200);
    const now = cpuSeconds(root);
    if (now - before < 0.015) return;
    before = now;
  }
}
