/** The record of a request as a data point of Workers Analytics Engine, where the deployment has that binding. */
import type { RequestRecord } from "./request-log.ts";

/** The binding, as far as it is used: it takes a data point without a promise, and may throw beyond the platform's limits. */
export interface AnalyticsDataset {
  writeDataPoint(point: { indexes: string[]; blobs: string[]; doubles: number[] }): void;
}

/**
 * Writes a request's record. What the dataset can't take is lost, and no response depends on it.
 *
 * index1: upstream. blob1 to blob7: upstream, repository, kind, reference, where the response came from, name of the access key,
 * method; "" for what isn't known. double1 to double3: status, declared bytes, milliseconds.
 */
export function writeAnalytics(dataset: AnalyticsDataset, record: RequestRecord): void {
  const { upstream, repository, resource, reference, servedBy, key, method, status, bytes, ms } = record;
  try {
    dataset.writeDataPoint({
      indexes: [upstream ?? ""],
      blobs: [upstream, repository, resource, reference, servedBy, key, method].map((text) => text ?? ""),
      doubles: [status, method === "HEAD" ? 0 : (bytes ?? 0), ms],
    });
  } catch (error) {
    console.warn(`a request's record can't be written to Analytics Engine: ${error}`);
  }
}
