/** Amazon EKS on Amazon Linux 2023: hosts.toml written by the nodes' user data. */
import { type Guide, type GuideRequest, toml, yaml } from "../guide.ts";
import { hostsFiles, REFERRERS } from "../hosts-toml.ts";
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
Content-Type: application/node.eks.aws

${nodeConfig()}
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
        text: "Replace the nodes one by one, and check one of them.",
        command: `ls ${CERTIFICATES}\ncontainerd config dump | grep config_path`,
      },
    ],
    notes: [
      ...notes,
      REFERRERS,
      "This is for Amazon Linux 2023. For Bottlerocket nodes, see Bottlerocket.",
      "The NodeConfig is for nodes with containerd 2, which finds no hosts.toml if `config_path` names two folders, as it does in Amazon Linux. Leave it out for nodes with containerd 1.7: `kubectl get nodes -o wide` shows the version.",
      "Amazon's own images, from `….dkr.ecr.….amazonaws.com`, aren't mirrored.",
      ...(request.key === null
        ? []
        : ["Anyone who may describe the launch template or the instance can read the user data."]),
    ],
  };
}

/** For nodeadm, which merges it into containerd's configuration: one folder in place of two. */
function nodeConfig(): string {
  const plugins = { "io.containerd.cri.v1.images": { registry: { config_path: CERTIFICATES } } };
  const config = toml("config.toml", { plugins }).content;
  const document = {
    apiVersion: "node.eks.aws/v1alpha1",
    kind: "NodeConfig",
    spec: { containerd: { config } },
  };
  return yaml("node.yaml", document).content;
}
