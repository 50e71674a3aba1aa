/** The Worker that implements R2 and KV on one machine. */

export { DiskBucket } from "./disk-bucket.ts";
export { DiskRecords } from "./disk-records.ts";

export default {
  fetch: () => new Response(null, { status: 404 }),
} satisfies ExportedHandler;
