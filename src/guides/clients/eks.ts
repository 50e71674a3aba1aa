/** Amazon EKS on Amazon Linux 2023: hosts.toml written by the nodes' user data. */
import type { Guide, GuideRequest } from "../guide.ts";
import { hostsFiles } from "../hosts-toml.ts";
import { CERTIFICATES } from "./containerd.ts";

const BOUNDARY = "//";

export function eks(request: GuideRequest): Guide {
  const { files, notes } = hostsFiles(request, CERTIFICATES);
  const script = files.map(({ path, content }) => {
    const folder = path.slice(0, path.lastIndexOf("/"));
    return `mkdir -p ${folder}\ncat > ${path} <<'EOF'\n${content}EOF\n`;
  });
  const userData = `MIME-Version: 1.0
Content-Type: multipart/mixed; boundary="${BOUNDARY}"

--${BOUNDARY}
Content-Type: text/x-shellscript; charset="us-ascii"

#!/bin/bash
set -eu
${script.join("")}
--${BOUNDARY}--
`;
  return {
    title: "Amazon EKS",
    steps: [
      {
        text: "Add this to the user data of the nodes' launch template (with Karpenter: `userData` of the EC2NodeClass). EKS merges it with its own.",
        file: { path: "user-data.txt", language: "text", content: userData },
      },
      {
        text: "Make the nodes anew, one after the other, and see on one of them what became of it.",
        command: `ls ${CERTIFICATES}`,
      },
    ],
    notes: [
      ...notes,
      "This is for Amazon Linux 2023, whose containerd looks into that folder. For nodes with Bottlerocket see Bottlerocket.",
      "Amazon's own images, from `….dkr.ecr.….amazonaws.com`, aren't mirrored.",
      ...(request.key === null
        ? []
        : ["User data can be read by whoever may describe the launch template or the instance."]),
    ],
  };
}
