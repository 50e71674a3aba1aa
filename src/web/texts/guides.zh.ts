/** 客户端配置指南里的文字，由英文译成中文；docs/zh/clients 里用的是同样的句子。没有译文的按英文显示。 */

const TEXTS: Readonly<Record<string, string>> = {
  "Add the mirror to Docker's configuration.": "把镜像代理加入 Docker 的配置。",
  "Reload Docker; running containers aren't affected. `docker info` then lists the mirror under Registry Mirrors.":
    "让 Docker 重新加载配置，运行中的容器不受影响。之后 `docker info` 会在 Registry Mirrors 下列出镜像代理。",
  "Pull from other registries through the mirror's name.": "从其他仓库拉取时，在镜像名前加上镜像代理的地址。",
  "dockerd uses its mirror for docker.io only. For other registries, put the mirror's name in front of the image's name.":
    "dockerd 只有在拉取 docker.io 的镜像时才使用镜像代理。其他仓库要在镜像名前加上镜像代理的地址。",
  "This relies on docker.io being the mirror's default upstream, which it is unless DEFAULT_UPSTREAM names another.":
    "前提是镜像代理的默认上游是 docker.io；除非 DEFAULT_UPSTREAM 另有设置，否则就是。",
  "If dockerd is started with `--registry-mirror` (`systemctl cat docker` shows it), change that option instead: if both are set, dockerd doesn't start.":
    "如果 dockerd 启动时带有 `--registry-mirror`（可用 `systemctl cat docker` 查看），请改那个选项：两处同时设置时，dockerd 无法启动。",
  "New installations of Docker 29 and later use the containerd image store. `registry-mirrors` works with it too; a hosts.toml for each registry also covers registries other than docker.io (see Docker with the containerd image store).":
    "新安装的 Docker 29 及更高版本使用 containerd 镜像存储。`registry-mirrors` 对它同样有效；给每个仓库配一个 hosts.toml，还能覆盖 docker.io 以外的仓库（见“Docker 与 containerd 镜像存储”）。",
  "dockerd doesn't send logins to a mirror, so the key is part of the URL: protect the file like a password.":
    "dockerd 不会把登录信息发给镜像代理，所以密钥是 URL 的一部分：请像保护密码一样保护这个文件。",
  "A mirror URL with a path requires Docker 24.0.8 or later; older versions reject it.":
    "镜像代理的 URL 带有路径时，需要 Docker 24.0.8 或更高版本；更早的版本会拒绝它。",
  "Log in with the mirror's key, which is read from the file `portolan.key`. The user name can be anything.":
    "用镜像代理的密钥登录，密钥从文件 `portolan.key` 读取，用户名随意。",
  "Docker with the containerd image store": "Docker 与 containerd 镜像存储",
  "Enable the containerd image store. New installations of Docker 29 and later enable it by default. While it is enabled, images in the other store are hidden and have to be pulled again.":
    "启用 containerd 镜像存储。新安装的 Docker 29 及更高版本默认启用。启用之后，另一个存储里的镜像不可见，需要重新拉取。",
  "Configure a mirror for each registry.": "为每个仓库配置镜像代理。",
  "The same for the next registry.": "下一个仓库同理。",
  "Restart Docker.": "重启 Docker。",
  "When the mirror fails, containerd silently falls back to the registry itself.":
    "镜像代理出错时，containerd 会直接回退到原仓库，而且没有任何提示。",
  "If a registry's hosts.toml names several hosts, dockerd doesn't use `registry-mirrors` for that registry.":
    "如果某个仓库的 hosts.toml 里有多个 host，dockerd 就不会对它使用 `registry-mirrors`。",
  'With containerd 2.3 or later, add `"referrers"` to `capabilities` so that lists of signatures and attestations are mirrored too. Older versions ignore a file that contains it, and use the registry.':
    '使用 containerd 2.3 或更高版本时，在 `capabilities` 里加上 `"referrers"`，签名和证明（attestation）的列表也会经过镜像代理。更早的版本会忽略包含它的文件，改用原仓库。',
  "This requires Docker 28 or later. `docker info` shows `driver-type: io.containerd.snapshotter.v1` when the store is in use.":
    "需要 Docker 28 或更高版本。使用这种存储时，`docker info` 会显示 `driver-type: io.containerd.snapshotter.v1`。",
  'Tell containerd which folder contains the registry configuration; name one folder only. If config.toml already exists, keep its `version` and add only `config_path`, in that version\'s table: `[plugins."io.containerd.grpc.v1.cri".registry]` for version 2, which containerd 2 reads as well, and `[plugins."io.containerd.cri.v1.images".registry]` for later versions.':
    '设置仓库配置所在的目录，只能写一个目录。如果 config.toml 已经存在，保留它的 `version`，只在该版本对应的表里加上 `config_path`：version 2（containerd 2 也能读取）是 `[plugins."io.containerd.grpc.v1.cri".registry]`，更高的版本是 `[plugins."io.containerd.cri.v1.images".registry]`。',
  "Configure the mirror. The file is read on every pull.": "配置镜像代理。每次拉取都会读取这个文件。",
  "Restart containerd (only changes to `config.toml` need it), and pull as Kubernetes does.":
    "重启 containerd（只有修改了 `config.toml` 才需要），然后像 Kubernetes 那样拉取。",
  "This file applies to every registry without a hosts.toml of its own. For a registry that the mirror doesn't serve, it returns 404, and containerd then uses the registry directly.":
    "这个文件适用于所有没有单独 hosts.toml 的仓库。对于镜像代理不提供的仓库，它返回 404，containerd 会直接使用原仓库。",
  "containerd's CRI plugin doesn't start if `config_path` is combined with `registry.mirrors` or with TLS settings in `registry.configs`: move those into a hosts.toml for each registry.":
    "`config_path` 不能与 `registry.mirrors` 或 `registry.configs` 里的 TLS 设置同时使用，否则 containerd 的 CRI 插件无法启动：请把这些设置移到各个仓库的 hosts.toml 里。",
  'A config.toml with `disabled_plugins = ["cri"]` comes from Docker: that containerd doesn\'t serve Kubernetes, so configure Docker instead.':
    '带有 `disabled_plugins = ["cri"]` 的 config.toml 来自 Docker：这个 containerd 不为 Kubernetes 服务，请改为配置 Docker。',
  "`ctr` doesn't read this configuration: `ctr images pull --hosts-dir /etc/containerd/certs.d …`.":
    "`ctr` 不读取这份配置：`ctr images pull --hosts-dir /etc/containerd/certs.d …`。",
  "Write this on every node, servers and agents alike.": "在每个节点上写入下面的内容，server 和 agent 都要。",
  "Restart the service on each node; on agents it has a different name.":
    "重启每个节点上的服务；agent 上的服务名称不同。",
  "Check the result, and pull.": "检查结果，然后拉取。",
  "`*` stands for every registry that has no entry of its own.": "`*` 代表所有没有单独条目的仓库。",
  "When the mirror fails, containerd falls back to the registry itself. `--disable-default-registry-endpoint` prevents that.":
    "镜像代理出错时，containerd 会回退到原仓库。用 `--disable-default-registry-endpoint` 可以禁止回退。",
  "With the containerd runtime: minikube copies everything below `~/.minikube/files` into each node it creates.":
    "使用 containerd 运行时：minikube 会把 `~/.minikube/files` 下的所有文件复制到它创建的每个节点。",
  "Create the cluster. Files and options apply when a node is created, so delete an existing cluster first.":
    "创建集群。文件和选项在创建节点时才会应用，所以要先删除已有的集群。",
  "With the docker runtime instead, which supports docker.io only:":
    "改用 docker 运行时（只支持 docker.io）：",
  "Run a pod, and check that its image appears in the mirror's log.":
    "运行一个 Pod，确认它的镜像出现在镜像代理的日志里。",
  "`--image-repository` with a path on the mirror fails: it also looks there for `k8s-minikube/storage-provisioner`, which is on gcr.io and not on registry.k8s.io.":
    "把 `--image-repository` 设为镜像代理上的路径行不通：minikube 还会在那里查找 `k8s-minikube/storage-provisioner`，而它在 gcr.io，不在 registry.k8s.io。",
  "With the docker runtime, a key can only be part of the mirror's host name, because `--registry-mirror` takes no path: give the mirror a DOMAIN, or use containerd.":
    "使用 docker 运行时，密钥只能写在镜像代理的主机名里，因为 `--registry-mirror` 不接受路径：请给镜像代理设置 DOMAIN，或改用 containerd。",
  "Inside a container, 127.0.0.1 is the container itself. Let the mirror listen on Docker's bridge, which containers can reach and other machines can't. (With Docker Desktop, leave the mirror on loopback and use `host.docker.internal` instead of 172.17.0.1.)":
    "在容器里，127.0.0.1 是容器自己。让镜像代理监听 Docker 网桥的地址：容器可以访问，其他机器不能。（使用 Docker Desktop 时，让镜像代理继续监听环回地址，并用 `host.docker.internal` 代替 172.17.0.1。）",
  "podman, buildah and skopeo": "podman、buildah 和 skopeo",
  "Configure a mirror for each registry. The file is read on every pull.":
    "为每个仓库配置镜像代理。每次拉取都会读取这个文件。",
  "Pull as usual, with the registry's own name.": "照常使用原来的镜像名拉取。",
  "No entry can cover all registries at once: each needs its own.":
    "没有哪一条能一次覆盖所有仓库：每个仓库都要单独配置。",
  "When the mirror can't serve a manifest, the registry itself is used. A layer that breaks off midway isn't retried elsewhere.":
    "镜像代理无法提供清单时，会改用原仓库。中途断开的层不会换到别处重试。",
  "A user's own `~/.config/containers/registries.conf` replaces the system-wide files entirely.":
    "用户自己的 `~/.config/containers/registries.conf` 会完全取代系统级的文件。",
  "Store the mirror's key for them; `podman login` would write the same.":
    "保存镜像代理的密钥；`podman login` 写入的内容与此相同。",
  "Configure the mirror. The file is read on every pull, so nothing has to be restarted.":
    "配置镜像代理。每次拉取都会读取这个文件，无需重启任何服务。",
  "Pull as usual.": "照常拉取。",
  "Rootless nerdctl reads `~/.config/containerd/certs.d` instead. `hosts_dir` in nerdctl.toml or `--hosts-dir` sets another folder.":
    "rootless 的 nerdctl 读取的是 `~/.config/containerd/certs.d`。在 nerdctl.toml 里用 `hosts_dir`，或用 `--hosts-dir`，可以指定其他目录。",
  "The rewritten reference": "用完整名称拉取",
  "Put the mirror and the registry before the image's name.": "在镜像名前加上镜像代理和仓库。",
  "The same in a Dockerfile, a Compose file, a Kubernetes manifest or a Helm value: wherever an image's name is written. Other tools:":
    "Dockerfile、Compose 文件、Kubernetes 的 YAML、Helm 的 values 里也一样：凡是写镜像名的地方都可以。其他工具：",
  "When the mirror fails, there is no fallback to the registry, and the image keeps the mirror's name on the client.":
    "镜像代理出错时不会回退到原仓库，而且镜像在客户端上会一直带着镜像代理的地址。",
  "Official images on docker.io don't need `library/`.": "docker.io 的官方镜像可以省略 `library/`。",
  "These are the registries that most images come from. To configure others that the mirror serves, list them with `--upstream`, as in `--upstream docker.io,nvcr.io`.":
    "这里列出的是最常用的仓库。要配置镜像代理提供的其他仓库，请用 `npm run portolan -- config` 生成，并以 `--upstream docker.io,nvcr.io` 的形式列出。",
};

/** 含有地址或密钥的句子。 */
const PATTERNS: readonly (readonly [RegExp, string])[] = [
  [/^A certificate for (\S+) covers (\S+) too\.$/, "$1 的证书也覆盖 $2。"],
  [
    /^The node image and the preloaded Kubernetes images aren't pulled by the runtime: (`\S+`) and (`\S+`) make them come through the mirror too\.$/,
    "节点镜像和预加载的 Kubernetes 镜像不由运行时拉取：$1 和 $2 可以让它们也经过镜像代理。",
  ],
  [
    /^The mirror has no TLS: Docker needs (`[^`]+`) in daemon\.json, podman (`[^`]+`), crane (`[^`]+`), helm and oras (`[^`]+`)\.$/,
    "镜像代理没有启用 TLS：Docker 需要在 daemon.json 里加上 $1，podman 需要 $2，crane 需要 $3，helm 和 oras 需要 $4。",
  ],
];

/** 没有译文时返回 null。 */
export function guideTextZh(text: string): string | null {
  const found = Object.hasOwn(TEXTS, text) ? TEXTS[text] : undefined;
  if (found !== undefined) return found;
  const pattern = PATTERNS.find(([form]) => form.test(text));
  return pattern ? text.replace(...pattern) : null;
}
