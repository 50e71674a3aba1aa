// Clients of a newer Debian, whose packages .ci/run unpacks into a folder: they run with that as their root, and their libraries.
import { dirname } from "node:path";
import { isolated } from "./process.ts";

/** Empty where the packages couldn't be fetched. */
export const { NEWER_CLIENTS = "" } = process.env;

/**
 * Nothing is written into the folder itself: what programs need to write to is mounted over it, and of this machine's files they see
 * the client's own folder.
 */
const ENTER = `
set -e
root=$0
hosts=$1
folder=$2
shift 2
mount --bind "$root" "$root"
cd "$root"
for each in proc sys dev; do mount --rbind /$each $each; done
mount -t tmpfs tmpfs run
mount -t tmpfs tmpfs tmp
mkdir -p ".$folder"
mount --bind "$folder" ".$folder"
mount --bind "$hosts" etc/hosts
pivot_root . old
exec chroot . sh -c 'umount -l /old && cd / && exec "$@"' sh "$@"
`;

/** As `isolated`, in the newer Debian. @param hostsFile in the client's folder */
export function newer(hostsFile: string, command: readonly string[]): string[] {
  return isolated(hostsFile, [
    ...["sh", "-c", ENTER, NEWER_CLIENTS, hostsFile, dirname(hostsFile)],
    ...["env", "PATH=/usr/sbin:/usr/bin", ...command],
  ]);
}
