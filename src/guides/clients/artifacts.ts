/** Programs that pull other things than images from registries, and take them by the mirror's name. */
import {
  authority,
  chooseShape,
  endpoint,
  isOnThisMachine,
  isPlainHttp,
  referencePrefix,
} from "../addresses.ts";
import { basicCredentials, type Guide, type GuideRequest, json, type Step, yaml } from "../guide.ts";
import { loginSteps } from "../login.ts";

export function artifacts(request: GuideRequest): Guide {
  const ghcr = referencePrefix(request, "ghcr.io");
  return {
    title: "Trivy, Helm, Flux, OpenTofu, dev containers and Homebrew",
    steps: [
      ...loginSteps(request, "docker"),
      {
        text: "Trivy: its databases and checks.",
        command: [
          "trivy image",
          `--db-repository ${ghcr}/aquasecurity/trivy-db:2`,
          `--java-db-repository ${ghcr}/aquasecurity/trivy-java-db:1`,
          `--checks-bundle-repository ${ghcr}/aquasecurity/trivy-checks:1`,
          `${referencePrefix(request, "docker.io")}/library/alpine:latest`,
        ].join(" \\\n  "),
      },
      helm(request, ghcr),
      flux(request, ghcr),
      openTofu(ghcr),
      {
        text: "OpenTofu: a module, in the configuration that uses it.",
        file: {
          path: "main.tf",
          language: "text",
          content: `module "example" {\n  source = "oci://${ghcr}/OWNER/MODULE?tag=1.0.0"\n}\n`,
        },
      },
      {
        text: "Dev containers: image and features.",
        file: json(".devcontainer/devcontainer.json", {
          image: `${referencePrefix(request, "mcr.microsoft.com")}/devcontainers/base:ubuntu`,
          features: { [`${ghcr}/devcontainers/features/node:1`]: {} },
        }),
      },
      homebrew(request),
    ],
    notes: [
      "There is no way back to the registry when the mirror fails, except with Homebrew. What was pulled once is served while the registry is down.",
      "Homebrew asks the mirror for sources and casks too, doesn't find them there, and takes them from where they are.",
      ...(request.key === null
        ? []
        : [
            "`docker login` is what Trivy, OpenTofu, dev containers and Helm use. Flux has it from a secret, Homebrew from its variable.",
          ]),
      ...(isPlainHttp(request) && !isOnThisMachine(request)
        ? [
            `The mirror has no TLS: Trivy wants \`--insecure\` and \`TRIVY_NON_SSL=true\`, Helm \`--plain-http\`, Flux \`insecure: true\`, Docker \`"insecure-registries": ["${authority(request)}"]\`. OpenTofu and dev containers take TLS only.`,
          ]
        : []),
    ],
  };
}

function helm({ key, mirror }: GuideRequest, ghcr: string): Step {
  const plain = mirror.protocol === "http:" ? " --plain-http" : "";
  const login =
    key === null
      ? []
      : [`helm registry login${plain} --username portolan --password-stdin ${mirror.host} < portolan.key`];
  return {
    text: "Helm: charts, by the command and as dependencies (`repository: oci://…` in Chart.yaml).",
    command: [...login, `helm pull${plain} oci://${ghcr}/OWNER/CHART --version 1.0.0`].join("\n"),
  };
}

function flux(request: GuideRequest, ghcr: string): Step {
  return {
    text: "Flux: an OCIRepository. A HelmRepository of type `oci` has the same `url`.",
    file: yaml("portolan-ocirepository.yaml", {
      apiVersion: "source.toolkit.fluxcd.io/v1",
      kind: "OCIRepository",
      metadata: { name: "manifests", namespace: "flux-system" },
      spec: {
        interval: "10m",
        url: `oci://${ghcr}/OWNER/MANIFESTS`,
        ref: { semver: "1.x" },
        ...(isPlainHttp(request) ? { insecure: true } : {}),
        ...(request.key === null ? {} : { secretRef: { name: "portolan" } }),
      },
    }),
    ...(request.key === null
      ? {}
      : {
          command: `flux create secret oci portolan --url=${authority(request)} --username=portolan --password="$(cat portolan.key)"`,
        }),
  };
}

function openTofu(ghcr: string): Step {
  return {
    text: "OpenTofu: providers that are published in a registry, in its CLI configuration.",
    file: {
      path: "~/.tofurc",
      language: "text",
      content: `provider_installation {
  oci_mirror {
    repository_template = "${ghcr}/OWNER/\${namespace}/\${type}"
    include             = ["registry.opentofu.org/*/*"]
  }
}
`,
    },
  };
}

function homebrew(request: GuideRequest): Step {
  const { shape } = chooseShape(request, ["host", "prefix"]);
  const { key } = request;
  return {
    text: "Homebrew: bottles, by the environment.",
    command: [
      `export HOMEBREW_ARTIFACT_DOMAIN=${endpoint(request, "ghcr.io", shape)}`,
      ...(key === null ? [] : [`export HOMEBREW_DOCKER_REGISTRY_BASIC_AUTH_TOKEN=${basicCredentials(key)}`]),
      "brew install jq",
    ].join("\n"),
  };
}
