/** Bindings of the platform whose operations are counted, each as the platform counts it. */
import type { Operation } from "./ledger/quotas.ts";
import type { ObjectsOf } from "./objects/stubs.ts";

type Count = (operation: Operation) => void;

const R2: Readonly<Record<string, Operation>> = {
  get: "r2ClassB",
  head: "r2ClassB",
  put: "r2ClassA",
  list: "r2ClassA",
  createMultipartUpload: "r2ClassA",
};
const KV: Readonly<Record<string, Operation>> = {
  get: "kvReads",
  list: "kvWrites",
  put: "kvWrites",
  delete: "kvWrites",
};

/** Parts of uploads and their completion are counted as one operation with their beginning. */
export function countedBucket(bucket: R2Bucket, count: Count): R2Bucket {
  return counted(bucket, (name) => R2[name] ?? null, count);
}

/** A list has a quota of its own, as small as that of writes. */
export function countedKv(kv: KVNamespace, count: Count): KVNamespace {
  return counted(kv, (name) => KV[name] ?? null, count);
}

export function countedObjects<Methods extends object>(
  objects: ObjectsOf<Methods>,
  count: Count,
): ObjectsOf<Methods> {
  return {
    getByName: (name) => counted(objects.getByName(name), () => "objectRequests", count),
  };
}

function counted<Target extends object>(
  target: Target,
  operationOf: (method: string) => Operation | null,
  count: Count,
): Target {
  return new Proxy(target, {
    get: (_, name) => {
      const member: unknown = Reflect.get(target, name);
      if (typeof member !== "function" || typeof name !== "string") return member;
      return (...given: unknown[]) => {
        const operation = operationOf(name);
        if (operation) count(operation);
        // On the target: neither bindings nor stubs work as methods of anything else.
        // Not by the function's own `apply`, which for a stub is another method of the object.
        return Reflect.apply(member as (...given: unknown[]) => unknown, target, given);
      };
    },
  });
}
