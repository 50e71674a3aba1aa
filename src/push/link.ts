/** Gives a repository a blob that is stored, within its quota. */
import type { Digest } from "../oci/digest.ts";
import { RegistryError } from "../oci/errors.ts";
import { policyFor } from "./policy.ts";
import type { Policy } from "./records.ts";
import type { PushServices } from "./services.ts";

/**
 * @param blob with its bytes.
 * @param upload the upload that it came from, which ends; null for none.
 * @throws RegistryError 403 if that exceeds the quota.
 */
export async function linkBlob(
  { hostedRecords, config }: Pick<PushServices, "hostedRecords" | "config">,
  repository: string,
  blob: { digest: Digest; size: number },
  upload: string | null = null,
): Promise<void> {
  const policy = policyFor(config.hosted, repository);
  if (!(await hostedRecords.linkBlob(repository, blob, upload, policy))) throw overQuota(policy);
}

export function overQuota({ quota }: Policy): RegistryError {
  const { bytes, pattern } = quota ?? {};
  const message =
    `the quota of ${bytes} bytes for ${pattern} is used up: raise HOSTED_QUOTA, ` +
    "or delete images, which count until they are collected a day later";
  return new RegistryError(403, "DENIED", message);
}
